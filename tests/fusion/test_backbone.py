import copy
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avjepa.bundle.files import save_bundle
from avjepa.bundle.weights import state_hash
from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import BEVBackbone
from avjepa.encoders.bundled import load_encoder
from avjepa.errors import UserError
from avjepa.fusion import FusedBackbone, GatedSumOptions, MaskedMeanOptions
from avjepa.fusion.fusers import FuserOptions
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.targets import EMATargetOptions
from tests.fusion.toys import GRID, SENSORS, batch_of, branch, fused

FUSERS: tuple[FuserOptions, ...] = (MaskedMeanOptions(), GatedSumOptions())


@pytest.mark.parametrize("fuser", FUSERS, ids=lambda options: type(options).__name__)
def test_every_subset_of_the_sensors_gives_a_map(fuser: FuserOptions) -> None:
    model, batch = fused(fuser=fuser).eval(), batch_of([1, 2])
    maps = {}
    for size in (1, 2, 3):
        for sensors in itertools.combinations(SENSORS, size):
            result = model(batch.of_sensors(sensors))
            assert result.features.shape == (2, 9, *GRID.shape)
            assert result.features.isfinite().all()
            maps[sensors] = result.features
    assert len({features.sum().item() for features in maps.values()}) == 7, "every sensor says something"
    nothing = model(batch.of_sensors(()))
    assert nothing.features.isfinite().all() and not nothing.covered.any() and not nothing.observed.any()


def test_a_sample_without_a_sensor_is_as_in_a_batch_without_it() -> None:
    """Samples of one batch may lack different sensors; absent, empty and never loaded come to the same."""
    model, batch = fused().eval(), batch_of([1, 2, 3])
    lacking = batch.keeping("lidar", torch.tensor([True, False, True])).keeping(
        "camera", torch.tensor([False, True, True])
    )
    mixed = model(lacking).features
    assert lacking.radar is not None
    for row, sensors in enumerate((("lidar", "radar"), ("camera", "radar"), SENSORS)):
        alone = model(batch_of([row + 1]).of_sensors(sensors)).features
        torch.testing.assert_close(mixed[row], alone[0], rtol=1e-4, atol=1e-5)


def test_a_sample_without_any_sensor_breaks_nothing() -> None:
    model, batch = fused().train(), batch_of([1, 2])
    for sensor in SENSORS:
        batch = batch.keeping(sensor, torch.tensor([True, False]))
    result = model(batch)
    assert result.features.isfinite().all() and not result.observed[1].any() and not result.covered[1].any()


def test_an_empty_cloud_is_a_sensor_that_saw_nothing() -> None:
    model, batch = fused(("lidar", "radar")).eval(), batch_of([1])
    assert batch.radar is not None
    empty = replace(batch, radar=batch.radar.at(torch.zeros(0, dtype=torch.int64)))
    result, without = model(empty), model(batch.of_sensors(["lidar"]))
    assert result.features.isfinite().all()
    assert not torch.equal(result.features, without.features), "that a radar sees nothing is knowledge"


def test_a_camera_tells_only_of_what_it_looks_at() -> None:
    model, batch = fused().eval(), batch_of([1])
    behind = model(batch.of_sensors(["camera"])).covered
    x = GRID.centres()[..., 0]
    assert behind is not None and not behind[0][x < -1].any() and behind[0][x > 8].any()


def test_what_a_mask_hides_cannot_be_read() -> None:
    model, batch = fused().eval(), batch_of([1, 2])
    tokens = model.tokenise(batch)
    wanted = torch.zeros(2, *GRID.shape, dtype=torch.bool)
    wanted[:, 2:6, 9:14] = True
    masked = tokens.realisable_mask(wanted)
    assert masked.any() and not masked.all()
    result = model.encode(tokens, masked)
    assert not result.observed[masked].any()
    assert batch.lidar is not None and batch.radar is not None
    for cloud in (batch.lidar, batch.radar):
        row, column, _ = GRID.rows_and_columns(cloud.xyz[:, 0], cloud.xyz[:, 1])
        hidden = masked[cloud.batch_index, row, column]
        assert hidden.any()
        moved = cloud.features.clone()
        moved[hidden, 2] += 0.3
        moved[hidden, 4] += 1.0
        field = "lidar" if cloud is batch.lidar else "radar"
        other = replace(batch, **{field: replace(cloud, features=moved)})
        torch.testing.assert_close(model.encode(model.tokenise(other), masked).features, result.features)
        assert not torch.equal(model(other).features, model(batch).features), "seen, it would have mattered"


def test_a_context_may_lack_a_whole_sensor_that_the_target_has() -> None:
    model, batch = fused().eval(), batch_of(list(range(40)))
    tokens = model.tokenise(batch)
    context = tokens.without(0.4)
    present = torch.stack(list(context.present.values()))
    assert (~present).any(1).all(), "each sensor is dropped in some sample"
    assert present.any(0).all()
    again = model.tokenise(batch_of([5])).without(0.4)
    assert [bool(here[0]) for here in again.present.values()] == present[:, 5].tolist()
    assert tokens.without(0.0) is tokens


def test_jepa_pretrains_the_fused_map_unchanged() -> None:
    model = fused()
    objective = JEPA(
        model, MultiBlock(sides=(3.2, 6.4)), EMATargetOptions(), predictor=PredictorOptions(8, (1,)),
        reconstruction_weight=1.0,
    ).train()  # fmt: skip
    batch = batch_of([1, 2, 3, 4])
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-3)
    for step in range(3):
        output = objective(PretrainBatch(batch, batch))
        assert output.loss.isfinite()
        output.loss.backward()
        assert all(parameter.grad is not None for parameter in objective.parameters() if parameter.requires_grad)
        optimiser.step()
        objective.after_step(step + 1)
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"branches", "adapters", "bev"}


def test_parameters_without_data_get_a_gradient_of_zero() -> None:
    model = fused().train()
    model(batch_of([1, 2]).of_sensors(["lidar"])).features.sum().backward()
    camera = [p.grad for p in model.branches["camera"].parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in camera)


def test_a_fused_backbone_is_a_bundle_like_any_other(tmp_path: Path) -> None:
    model = fused(fuser=GatedSumOptions()).eval()
    save_bundle(model, tmp_path, {})
    again = load_encoder(tmp_path)
    assert isinstance(again, FusedBackbone) and state_hash(again) == state_hash(model)
    batch = batch_of([3])
    assert torch.equal(again(batch).features, model(batch).features)


def test_branches_stand_side_by_side_before_what_fuses_them() -> None:
    model = fused()
    order = model.layer_order()
    found = [id(parameter) for part in order for parameter in part.parameters()]
    assert len(set(found)) == len(found)
    depths = [len(branch(sensor).layer_order()) for sensor in SENSORS]
    assert order[max(depths)] is model.adapters
    beside = order[max(depths) - 1]
    assert {id(p) for p in beside.parameters()} == {
        id(p) for own in model.branches.values() for p in own.layer_order()[-1].parameters()
    }


def test_errors_name_the_option() -> None:
    with pytest.raises(UserError, match="sonar: no such sensor"):
        FusedBackbone({"sonar": branch("lidar")}, 8, (8,), (0,), 8)
    with pytest.raises(UserError, match="that of radar is a LidarEncoder, which reads lidar"):
        FusedBackbone({"radar": branch("lidar")}, 8, (8,), (0,), 8)
    with pytest.raises(UserError, match=r"that of lidar is a FusedBackbone, which reads .*lidar.*; give every sensor"):
        FusedBackbone({"lidar": fused()}, 8, (8,), (0,), 8)
    with pytest.raises(UserError, match="--bundles lidar=DIR"):
        FusedBackbone({}, 8, (8,), (0,), 8)
    with pytest.raises(UserError, match="describe the same depths"):
        FusedBackbone({"lidar": branch("lidar")}, 8, (8, 8), (0,), 8)


@pytest.mark.parametrize("sensors", [("lidar",), ("camera",), ("radar",), SENSORS])
@pytest.mark.parametrize("absent", [(), ("camera",)])
def test_the_dense_part_goes_on_from_the_plane(sensors: tuple[str, ...], absent: tuple[str, ...]) -> None:
    """Also where a sensor of a fused backbone is not there; and a program of torch.export says the same."""
    if set(sensors) <= set(absent):
        return
    torch.manual_seed(0)
    backbone = (fused(sensors) if len(sensors) > 1 else branch(sensors[0])).eval()
    batch = batch_of([3]).of_sensors([sensor for sensor in SENSORS if sensor not in absent])
    with torch.no_grad():
        expected, plane = backbone(batch).features, backbone.plane(batch)
        torch.testing.assert_close(backbone.above_plane(plane), expected, rtol=1e-5, atol=1e-6)
        program = torch.export.export(Above(backbone), (plane,)).module()
        torch.testing.assert_close(program(plane), expected, rtol=1e-4, atol=1e-5)


class Above(torch.nn.Module):
    def __init__(self, backbone: BEVBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, plane: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.backbone.above_plane(plane)
