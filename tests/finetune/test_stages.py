from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
from avjepa.evaluate.detection import DetectionTask
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.finetune.stages import EVERYTHING, HEADS_FIRST, Stage, require_whole, stage_at
from avjepa.fusion import FusedBackbone
from avjepa.heads.detection.center_point import CenterPointOptions
from avjepa.model.neck import SecondFPNOptions
from tests.finetune.toys import CARS, fit, toy_module, trainer
from tests.fusion.toys import SENSORS, batch_of, branch, fused


def model() -> nn.Module:
    def parts(*names: str) -> nn.ModuleDict:
        return nn.ModuleDict({name: nn.Linear(2, 2) for name in names})

    backbone = nn.ModuleDict({"branches": parts("lidar", "camera"), "adapters": parts("lidar", "camera")})
    return nn.ModuleDict({"backbone": backbone, "neck": nn.Linear(2, 2), "heads": parts("boxes")})


def test_the_parts_that_do_not_learn_are_all_others() -> None:
    network = model()
    names = {id(module): name for name, module in network.named_modules()}
    still = Stage(0.5, ("backbone.adapters.camera", "neck")).still(network)
    backbone = network["backbone"]  # type: ignore[index]
    assert [id(part) for part in still] == [
        id(backbone["branches"]), id(backbone["adapters"]["lidar"]), id(network["heads"]),  # type: ignore[index]
    ], [names[id(part)] for part in still]  # fmt: skip
    assert EVERYTHING.still(network) == []
    assert HEADS_FIRST.still(network) == [backbone]


def test_stages_follow_each_other_and_the_last_one_lasts() -> None:
    stages = [Stage(0.25, ("a",)), Stage(0.25, ("b",)), Stage(0.5)]
    assert [stages.index(stage_at(stages, step, 8)) for step in range(8)] == [0, 0, 1, 1, 2, 2, 2, 2]
    assert stage_at([Stage(1 / 3, ("a",)), Stage(2 / 3)], 9, 10) == Stage(2 / 3)


def test_sensor_dropout_leaves_every_sample_something_and_follows_its_seed() -> None:
    batch = batch_of(list(range(60)))
    shown = Stage(1.0, sensor_dropout=0.5).shown(batch)
    present = torch.stack([shown.present(sensor) for sensor in SENSORS], dim=1)
    assert present.any(1).all()
    assert 0.3 < present.all(1).float().mean() < 0.7
    assert len({tuple(row) for row in present.tolist()}) == 7, "every subset comes up"
    assert shown.lidar is not None
    assert set(shown.lidar.batch_index.tolist()) == set(present[:, 0].nonzero()[:, 0].tolist())
    alone = Stage(1.0, sensor_dropout=0.5).shown(batch_of([7]))
    assert [bool(alone.present(sensor)[0]) for sensor in SENSORS] == present[7].tolist()


def test_what_a_sample_lacks_anyway_cannot_be_all_that_is_left() -> None:
    batch = batch_of(list(range(20))).keeping("lidar", torch.zeros(20, dtype=torch.bool))
    shown = Stage(1.0, sensor_dropout=1.0).shown(batch)
    assert torch.stack([shown.present(sensor) for sensor in SENSORS]).any(0).all()


def test_a_stage_shows_some_sensors_alone() -> None:
    assert Stage(1.0, sensors=("camera",)).shown(batch_of([1])).sensors == ["camera"]


def test_parts_learn_in_their_stage_alone() -> None:
    module = toy_module(stages=(Stage(0.5, ("heads",)), Stage(0.5, ("neck",))))
    neck = [p.detach().clone() for p in module.model.neck.parameters()]
    heads = [p.detach().clone() for p in module.model.heads.parameters()]
    backbone = {name: value.clone() for name, value in module.model.backbone.state_dict().items()}
    fit(module, 4)
    assert all(torch.equal(value, backbone[name]) for name, value in module.model.backbone.state_dict().items())
    assert not any(map(torch.equal, neck, module.model.neck.parameters()))
    assert not any(map(torch.equal, heads, module.model.heads.parameters()))


def fused_module(backbone: BEVBackbone | None = None, **options: Any) -> FinetuneModule:
    neck = SecondFPNOptions(channels=(8,), layers=1, out_channels=8)
    task = DetectionTask(CenterPointOptions(shared_channels=8, channels=8))
    return FinetuneModule(neck, {"detection": task}, CARS, backbone or fused(), **options)


def test_branches_that_were_pretrained_have_rates_of_their_own() -> None:
    """End to end, by layer: the last of a branch's n parts has .2 · .5 of the rate, the first .2 · .5^n."""
    module = fused_module(
        bundles={"lidar": "somewhere"}, learning_rate=1e-2, backbone_learning_rate_factor=0.2, layer_decay=0.5
    )
    module.trainer = trainer(10)
    groups = module.configure_optimizers()["optimizer"].param_groups  # type: ignore[index]
    rate = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups) == len(list(module.model.parameters()))
    backbone = module.model.backbone
    assert isinstance(backbone, FusedBackbone)
    for part in (backbone.adapters, backbone.bev, module.model.neck, module.model.heads):
        assert {rate[id(p)] for p in part.parameters()} == {1e-2}
    for pretrained in backbone.pretrained_parts():
        parts = pretrained.layer_order()
        for distance, part in enumerate(reversed(parts), start=1):
            for parameter in part.parameters():
                assert rate[id(parameter)] == pytest.approx(1e-2 * 0.2 * 0.5**distance)


def test_frozen_branches_leave_what_fuses_them_to_learn() -> None:
    module = fused_module(mode="frozen_encoders")
    learning = {name.split(".")[2] for name, p in module.named_parameters() if p.requires_grad and "backbone" in name}
    assert learning == {"adapters", "bev"}
    backbone = module.train().model.backbone
    assert isinstance(backbone, FusedBackbone)
    assert not any(part.training for branch in backbone.branches.values() for part in branch.modules())
    assert backbone.adapters.training and backbone.bev.training


def test_errors_name_the_option() -> None:
    with pytest.raises(UserError, match=r"no part .*adapter' with weights; did you mean backbone\.adapters\?"):
        Stage(1.0, ("backbone.adapter",)).still(model())
    with pytest.raises(UserError, match=r"shares are \[0.5, 0.4\]; they must sum to 1"):
        require_whole([Stage(0.5), Stage(0.4)])
    with pytest.raises(UserError, match="name some of camera, lidar, radar"):
        Stage(1.0, sensors=("sonar",))
    with pytest.raises(UserError, match="head_first_steps"):
        toy_module(stages=(Stage(1.0),), head_first_steps=2)
    with pytest.raises(UserError, match="has no branch of that sensor"):
        fit(toy_module(bundles={"radar": "nowhere"}), 1)


OF_FUSED = (
    "backbone, backbone.branches, backbone.branches.lidar, backbone.branches.camera, backbone.branches.radar, "
    "backbone.adapters, backbone.adapters.lidar, backbone.adapters.camera, backbone.adapters.radar, backbone.bev, "
    "neck, heads, heads.detection"
)
OF_ONE = {
    "lidar": "stages, backbone.height_compression, backbone.bev",
    "camera": "backbone, backbone.pyramid, backbone.mix_heights, backbone.bev",
    "radar": "pillars, backbone.bev",
}


@pytest.mark.parametrize(
    ("backbone", "parts"),
    [
        (fused, OF_FUSED),
        *(
            (partial(branch, name), f"backbone, backbone.{own}, neck, heads, heads.detection")
            for name, own in OF_ONE.items()
        ),
    ],
)
def test_a_name_that_is_none_is_answered_with_those_there_are(backbone: Callable[[], BEVBackbone], parts: str) -> None:
    for name in ("x", "backbone.fuser"):  # the masked mean has no weights
        with pytest.raises(UserError, match=f"no part '{name}' with weights; .*There are {parts}, and what"):
            fused_module(backbone(), stages=(Stage(1.0, (name,)),))
    for name in parts.split(", "):
        fused_module(backbone(), stages=(Stage(1.0, (name,)),))


def test_a_mode_that_leaves_a_stage_nothing_to_learn_is_refused() -> None:
    frozen = (Stage(0.5), Stage(0.5, ("backbone.branches.lidar",)))
    with pytest.raises(UserError, match=r"number 1 has backbone\.branches\.lidar learn alone, which .* frozen_enc"):
        fused_module(mode="frozen_encoders", stages=frozen)
    fused_module(mode="end_to_end", stages=frozen)


def test_frozen_encoders_are_those_of_a_fused_backbone() -> None:
    with pytest.raises(UserError, match="LidarEncoder fuses none; choose frozen or end_to_end"):
        fused_module(branch("lidar"), mode="frozen_encoders")


def test_a_batch_without_any_sensor_is_left_as_it_is() -> None:
    nothing = batch_of([1, 2]).of_sensors([])
    assert Stage(1.0, sensor_dropout=1.0).shown(nothing) is nothing


def test_names_and_modes_that_would_teach_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="no part '' with weights"):
        Stage(1.0, ("",)).still(model())
    with pytest.raises(UserError, match=r"model\.mode: frozen would freeze.*choose frozen_encoders"):
        fused_module(mode="frozen", bundles={"lidar": "somewhere"})
