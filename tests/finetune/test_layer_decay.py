"""Layer-wise learning rates: what a sensor's data reach first learns slowest, and nothing is left out."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from lightning import Callback, LightningModule, Trainer

from avjepa.bundle.weights import state_hash
from avjepa.encoders.base import SensorEncoder
from avjepa.errors import UserError
from avjepa.training.optimiser import parameter_groups
from tests.encoders.camera import camera_rig
from tests.encoders.lidar import test_lidar
from tests.encoders.radar import test_radar
from tests.finetune.toys import fit, toy_module

ENCODERS: dict[str, Callable[[], SensorEncoder]] = {
    "lidar": test_lidar.encoder,
    "radar": test_radar.encoder,
    **{name: partial(camera_rig.encoder, name, camera_rig.BILINEAR) for name in camera_rig.BACKBONES},
    "depth": partial(camera_rig.encoder, "resnet", camera_rig.DEPTH),
}
SHALLOW_TO_DEEP = {
    "lidar": [
        "stages.0",
        "stages.1",
        "stages.2",
        "height_compression",
        "bev.down.0",
        "bev.down.1",
        "bev.up",
        "bev.out",
    ],
    "radar": ["pillars", "bev.down.0", "bev.down.1", "bev.up", "bev.out"],
    "resnet": ["backbone.trunk.stem", "backbone.trunk.stages.0", "backbone.trunk.stages.1", "pyramid", "bev.down.0"],
    "convnextv2": ["backbone.trunk.stem", "backbone.trunk.stages.0", "backbone.trunk.stages.1", "pyramid"],
    "swin": ["backbone.trunk.stem", "backbone.trunk.stages.0", "backbone.trunk.stages.1", "pyramid", "mix_heights"],
    "dinov2": ["backbone.trunk.embeddings", "backbone.trunk.layers.0", "backbone.trunk.layers.1", "pyramid"],
    "depth": ["backbone.trunk.stem", "pyramid", "lift", "mix_heights", "bev.down.0", "bev.out"],
}
"""Along which parts a sensor's data flow, in the words of each encoder; ``bev.up`` and ``bev.out`` count as one."""


def rates(encoder: SensorEncoder, layer_decay: float) -> dict[str, float]:
    """Peak learning rate of every parameter; each must be in exactly one group."""
    groups = parameter_groups(
        encoder, learning_rate=1.0, weight_decay=0.1, by_depth=encoder.layer_order(), layer_decay=layer_decay
    )
    names = {parameter: name for name, parameter in encoder.named_parameters()}
    listed = [(names[parameter], group["lr"]) for group in groups for parameter in group["params"]]
    assert sorted(name for name, _ in listed) == sorted(names.values())
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.0 if parameter.ndim == 1 or names[parameter].endswith("bias") else 0.1)
    return dict(listed)


@pytest.mark.parametrize("name", SHALLOW_TO_DEEP)
def test_the_rate_grows_along_the_way_of_the_data(name: str) -> None:
    found = rates(ENCODERS[name](), 0.5)
    along = []
    for part in SHALLOW_TO_DEEP[name]:
        of_part = {rate for parameter, rate in found.items() if parameter.startswith(f"{part}.")}
        if of_part:
            assert len(of_part) == 1, f"{part} has one rate"
            along.append(of_part.pop())
    assert len(along) >= 4
    assert along == sorted(along)
    assert len(set(along)) >= len(along) - 1, "only the way up and the output of the dense network share a rate"
    # every part one step of 0.5 apart, and the deepest one step from the head
    exponents = {-math.log2(rate) for rate in found.values()}
    assert exponents == set(range(1, len(exponents) + 1))


@pytest.mark.parametrize("name", ["resnet", "convnextv2", "swin", "dinov2"])
def test_the_token_of_hidden_input_learns_as_slowly_as_the_stem(name: str) -> None:
    found = rates(ENCODERS[name](), 0.5)
    assert found["backbone.trunk.token"] == min(found.values())


@pytest.mark.parametrize("name", SHALLOW_TO_DEEP)
def test_without_decay_there_are_the_two_groups_of_one_rate(name: str) -> None:
    encoder = ENCODERS[name]()
    plain = parameter_groups(encoder, learning_rate=0.3, weight_decay=0.1)
    layered = parameter_groups(
        encoder, learning_rate=0.3, weight_decay=0.1, by_depth=encoder.layer_order(), layer_decay=1.0
    )
    assert len(plain) == len(layered) == 2
    for one, other in zip(plain, layered, strict=True):
        assert all(a is b for a, b in zip(one["params"], other["params"], strict=True))
        assert (one["lr"], one["weight_decay"]) == (other["lr"], other["weight_decay"])


def test_heads_keep_their_rate_and_the_backbone_multiplies_its_factors() -> None:
    module = toy_module(learning_rate=0.1, backbone_learning_rate_factor=0.5, layer_decay=0.2, warmup_fraction=0.0)

    class Watch(Callback):
        rates: dict[str, float] = {}  # noqa: RUF012

        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            if not self.rates:
                names = {parameter: name for name, parameter in pl_module.named_parameters()}
                groups = trainer.optimizers[0].param_groups
                self.rates |= {names[p]: group["initial_lr"] for group in groups for p in group["params"]}

    fit(module, 1, callbacks=[Watch()])
    assert Watch.rates.keys() == dict(module.named_parameters()).keys()
    for name, rate in Watch.rates.items():
        backbone = name.startswith("model.backbone")
        assert rate == pytest.approx(0.1 * 0.5 * 0.2 if backbone else 0.1), name


def test_a_layer_decay_of_one_trains_as_without_it() -> None:
    plain, given = toy_module(), toy_module(layer_decay=1.0)
    for module in (plain, given):
        fit(module, 2)
    assert state_hash(plain) == state_hash(given)


@pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.5])
def test_a_layer_decay_outside_of_its_range_is_refused(layer_decay: float) -> None:
    with pytest.raises(UserError, match="layer_decay"):
        toy_module(layer_decay=layer_decay)


def test_a_frozen_backbone_needs_no_layers() -> None:
    module = toy_module(mode="frozen", layer_decay=0.5)
    before = state_hash(module.model.backbone)
    fit(module, 1)
    assert state_hash(module.model.backbone) == before
