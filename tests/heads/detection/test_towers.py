"""The towers beside plain convolutions over the whole map, group by group and field by field."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avjepa.heads.detection.box_coding import BOX_CODE
from avjepa.heads.detection.towers import Places, Towers

CLASSES, CHANNELS, SHAPE = (1, 2, 3), 4, (9, 13)


def towers() -> Towers:
    torch.manual_seed(0)
    result = Towers(6, CHANNELS, CLASSES)
    for parameter in result.parameters():
        nn.init.normal_(parameter, std=0.3)
    return result.eval()


def slow(model: Towers, features: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Heatmaps and codes of every cell."""
    heat, heatmaps, codes = model.heatmap_tower, [], []
    hidden = heat.hidden(features)
    for group, (weight, bias) in enumerate(zip(heat.weights, heat.bias.split(CLASSES), strict=True)):
        part = hidden[:, group * CHANNELS : (group + 1) * CHANNELS]
        heatmaps.append(functional.conv2d(part, weight, bias, padding=1))
    for tower in model.box_towers:
        hidden = functional.conv2d(features, tower.hidden.weight, tower.hidden.bias, padding=1)
        hidden = tower.norm(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).relu()
        parts = zip(tower.fields.values(), hidden.split(CHANNELS, dim=1), strict=True)
        code = [functional.conv2d(part, field.weight, field.bias, padding=1) for field, part in parts]
        codes.append(torch.cat(code, dim=1))
    return heatmaps, codes


def some_places() -> list[Places]:
    """Corners and edges among them; a group without any, a cell twice."""
    corners = torch.tensor([[0, 0], [0, 12], [8, 0], [8, 12], [4, 6], [4, 6]])
    inner = torch.tensor([[3, 2], [8, 5]])
    return [
        Places(torch.tensor([0, 1, 0, 1, 1, 1]), corners),
        Places(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.int64)),
        Places(torch.tensor([1, 0]), inner),
    ]


def test_heatmaps_and_codes_are_those_of_convolutions_over_the_whole_map() -> None:
    model, features = towers(), torch.randn(2, 6, *SHAPE)
    heatmaps, codes = slow(model, features)
    maps = model(features)
    for found, expected, classes in zip(maps.heatmaps(), heatmaps, CLASSES, strict=True):
        assert found.shape == (2, classes, *SHAPE)
        torch.testing.assert_close(found, expected)
    places = some_places()
    for found, code, place in zip(maps.codes(places, range(3)), codes, places, strict=True):
        assert found.shape[1] == sum(BOX_CODE.values())
        torch.testing.assert_close(found, code[place.sample, :, place.row_column[:, 0], place.row_column[:, 1]])
    (alone,) = maps.codes(places[2:], [2])
    torch.testing.assert_close(alone, maps.codes(places, range(3))[2])


def test_so_are_the_gradients() -> None:
    """Every parameter has one, also of the group without a box."""
    places = some_places()

    def gradients(fast: bool) -> list[Tensor]:
        model = towers().train()
        features = torch.randn(2, 6, *SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if fast:
            maps = model(features)
            heatmaps, at = maps.heatmaps(), maps.codes(places, range(3))
        else:
            heatmaps, codes = slow(model, features)
            at = [
                code[place.sample, :, place.row_column[:, 0], place.row_column[:, 1]]
                for code, place in zip(codes, places, strict=True)
            ]
        torch.stack([x.square().sum() for x in (*heatmaps, *at)]).sum().backward()
        return [features.grad, *(parameter.grad for parameter in model.parameters())]

    for found, expected in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
