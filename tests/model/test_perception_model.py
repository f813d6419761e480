import pytest
import torch

from avjepa.encoders.blocks import Upsampling
from avjepa.errors import UserError
from avjepa.heads.detection.center_point import CenterPointOptions
from avjepa.model.neck import SecondFPN, SecondFPNOptions
from avjepa.model.perception_model import PerceptionModel
from tests.finetune.toys import CARS, GRID, CountHead, CountingEncoder, toy_batch
from tests.fusion.toys import SENSORS, batch_of, branch


def neck_of(
    in_channels: int, channels: tuple[int, ...], layers: int, out_channels: int, upsampling: Upsampling = "transposed"
) -> SecondFPN:
    return SecondFPNOptions(channels, layers, out_channels, upsampling).build(in_channels, GRID)


def make_detector(loss_weights: dict[str, float] | None = None) -> PerceptionModel:
    torch.manual_seed(0)
    heads = {
        "detection": CenterPointOptions(shared_channels=8, channels=8).build(8, GRID, CARS),
        "count": CountHead(8),
    }
    return PerceptionModel(CountingEncoder(), neck_of(4, (8,), 1, 8), heads, loss_weights)


def test_the_loss_is_the_weighted_sum_over_heads() -> None:
    batch = toy_batch(0)
    plain, weighted = make_detector().loss(batch), make_detector({"count": 0.5}).loss(batch)
    assert set(plain.terms) == {
        "detection/heatmap", "detection/offset", "detection/height", "detection/size", "detection/rotation",
        "detection/velocity", "count/square",
    }  # fmt: skip
    assert plain.total.item() == pytest.approx(sum(value.item() for value in plain.terms.values()), rel=1e-6)
    assert (plain.total - weighted.total).item() == pytest.approx(plain.terms["count/square"].item() / 2, rel=1e-5)


def test_every_head_predicts_under_its_name() -> None:
    predictions = make_detector().eval().predict(toy_batch(0, size=3))
    assert len(predictions["detection"]) == 3
    assert len(predictions["count"]) == 3


def test_train_leaves_what_is_held_still_in_eval_mode() -> None:
    detector = make_detector()
    detector.hold_still([detector.backbone])
    for mode, expected in ((True, False), (False, False)):
        detector.train(mode)
        assert all(module.training == expected for module in detector.backbone.modules())
        assert detector.neck.training == mode
    detector.train()
    detector.hold_still([])
    assert all(module.training for module in detector.backbone.modules())


@pytest.mark.parametrize("shape", [(11, 16), (8, 8), (13, 7)])
@pytest.mark.parametrize("channels", [(6,), (6, 8), (6, 8, 10)])
@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_the_neck_keeps_the_grid(shape: tuple[int, int], channels: tuple[int, ...], upsampling: Upsampling) -> None:
    neck = neck_of(3, channels, 1, 12, upsampling)
    assert neck(torch.randn(2, 3, *shape)).shape == (2, 12, *shape)


def test_an_interpolating_neck_puts_no_lattice_into_a_constant_map() -> None:
    """Whatever the weights, each of the 4 × 4 cells that the coarsest scale covers is treated as the others are."""
    torch.manual_seed(0)
    neck = neck_of(3, (6, 8, 10), 1, 12, "bilinear").eval()
    for parameter in neck.parameters():
        torch.nn.init.normal_(parameter)
    out = neck(torch.ones(1, 3, 48, 48))
    interior = out[..., 20:28, 20:28]
    torch.testing.assert_close(interior, interior[..., :1, :1].expand_as(interior), rtol=1e-4, atol=1e-4)
    assert (out[..., 0, 0] - interior[..., 0, 0]).abs().max() > 0.1  # the edge of the map shows, so the weights count


def test_the_neck_sees_farther_with_more_scales() -> None:
    def reach(channels: tuple[int, ...]) -> int:
        torch.manual_seed(0)
        neck = neck_of(1, channels, 2, 4 * len(channels)).eval()
        grid = torch.randn(1, 1, 33, 33, requires_grad=True)
        neck(grid)[0, :, 16, 16].sum().backward()
        assert grid.grad is not None
        return int((grid.grad[0, 0] != 0).any(0).sum())

    assert reach((4,)) == 5
    assert reach((4, 4)) > 8


def test_errors_name_the_option() -> None:
    head = CountHead(8)
    with pytest.raises(UserError, match="at least one head"):
        PerceptionModel(CountingEncoder(), neck_of(4, (8,), 1, 8), {})
    with pytest.raises(UserError, match="loss_weights: \\['boxes'\\]"):
        PerceptionModel(CountingEncoder(), neck_of(4, (8,), 1, 8), {"count": head}, {"boxes": 1.0})
    with pytest.raises(UserError, match="out_channels 9 is not a multiple of 2 scales"):
        SecondFPNOptions((8, 8), 1, 9)


@pytest.mark.parametrize("sensor", SENSORS)
def test_a_batch_without_the_sensor_is_one_in_which_it_gave_nothing(sensor: str) -> None:
    """As a vehicle records that lost it for a while: neither a training nor an evaluation ends of it."""
    backbone = branch(sensor)
    head = CountHead(8)
    neck = SecondFPNOptions((8,), 1, 8).build(backbone.out_channels, backbone.token_grid)
    model = PerceptionModel(backbone, neck, {"count": head})
    batch = batch_of([1, 2])
    for training in (True, False):
        model.train(training)
        nothing = model(batch.keeping(sensor, torch.zeros(2, dtype=torch.bool)))
        for left in ([name for name in SENSORS if name != sensor], []):
            assert torch.equal(model(batch.of_sensors(left)), nothing) and nothing.isfinite().all()
    assert not torch.equal(model(batch), nothing)
