"""A training in stages, each of which has its own parts of the model learn, from its own sensors."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from avjepa.data.sample import SENSORS, Batch
from avjepa.errors import UserError
from avjepa.ranges import require_number

_STREAM = 0x64726F706F7574  # keeps these draws apart from others that use the same seeds


@dataclass(frozen=True)
class Stage:
    """What happens in a share of the steps.

    Args:
        share: of all optimiser steps of the training.
        learn: names of the parts of the model that learn; none for all. Of every model: ``backbone``, ``neck``,
            ``heads``, ``heads.TASK`` by the name of a task. Of a fused one: ``backbone.branches``,
            ``backbone.branches.SENSOR``, ``backbone.adapters``, ``backbone.adapters.SENSOR``, ``backbone.fuser`` (the
            gated sum; the masked mean has no weights), ``backbone.bev``. Of another one ``backbone.PART``, by what its
            encoder is made of: ``bev`` for all sensors; ``stages``, ``height_compression`` for LiDAR; ``pillars`` for
            radar; ``backbone`` (of images), ``pyramid``, ``lift`` (where it has weights), ``mix_heights`` for cameras.
            Parts within those go by their longer names.
        sensors: which the model is shown; ``null`` for all that are loaded.
        sensor_dropout: probability that a sample is shown only some of its sensors, drawn at random.
    """

    share: float
    learn: tuple[str, ...] = ()
    sensors: tuple[str, ...] | None = None
    sensor_dropout: float = 0.0

    def __post_init__(self) -> None:
        require_number("model.stages: share", self.share, above=0, at_most=1)
        require_number("model.stages: sensor_dropout", self.sensor_dropout, at_least=0, at_most=1)
        if self.sensors is not None and (not self.sensors or set(self.sensors) - set(SENSORS)):
            raise UserError(
                f"model.stages: sensors {list(self.sensors)}: name some of {', '.join(SENSORS)}, or null for all"
            )

    def still(self, model: nn.Module) -> list[nn.Module]:
        """The parts of a model that do not learn: as few modules as cover them.

        Raises:
            UserError: ``learn`` names a part that the model does not have, or one without weights.
        """
        names = {name for name, module in model.named_modules() if name and _has_weights(module)}
        for name in self.learn:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                meant = f"did you mean {close[0]}? " if close else ""
                raise UserError(
                    f"model.stages: learn: the model has no part {name!r} with weights; {meant}There are "
                    f"{', '.join(_parts(model))}, and what these are made of"
                )
        return _outside(model, self.learn) if self.learn else []

    def shown(self, batch: Batch) -> Batch:
        """What the model gets to see of a batch."""
        if self.sensors is not None:
            batch = batch.of_sensors(self.sensors)
        return _with_fewer_sensors(batch, self.sensor_dropout) if self.sensor_dropout > 0 else batch


EVERYTHING = Stage(share=1.0)
HEADS_FIRST = Stage(share=1.0, learn=("neck", "heads"))


def stage_at(stages: Sequence[Stage], step: int, steps: int) -> Stage:
    """The stage of an optimiser step, counted from 0; the last one lasts to the end.

    Args:
        stages: in order; at least one.
        step: which.
        steps: of the whole training.
    """
    end = 0.0
    for stage in stages:
        end += stage.share
        if step < round(end * steps):
            return stage
    return stages[-1]


def require_whole(stages: Sequence[Stage]) -> None:
    """Raise unless the stages' shares make up a training.

    Raises:
        UserError: their sum is not 1.
    """
    if stages and abs(sum(stage.share for stage in stages) - 1) > 1e-6:
        raise UserError(f"model.stages: their shares are {[stage.share for stage in stages]}; they must sum to 1")


def _parts(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the parts of a model that have weights: the backbone's down to its branches, a head for each task."""
    for name, child in model.named_children():
        if _has_weights(child):
            yield prefix + name
            if isinstance(child, nn.ModuleDict) or prefix + name == "backbone":
                yield from _parts(child, f"{prefix}{name}.")


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _outside(module: nn.Module, learn: Sequence[str]) -> list[nn.Module]:
    """The largest parts of a module in which nothing learns."""
    still: list[nn.Module] = []
    for name, child in module.named_children():
        if name in learn:
            continue
        deeper = [path.removeprefix(f"{name}.") for path in learn if path.startswith(f"{name}.")]
        still += _outside(child, deeper) if deeper else [child]
    return still


def _with_fewer_sensors(batch: Batch, probability: float) -> Batch:
    """The batch, in which samples lack some of their sensors, but none all of those it had.

    A sample's draw is a function of its seed.
    """
    sensors = batch.sensors
    if not sensors:
        return batch
    rows = []
    for seed in batch.seeds.tolist():
        generator = torch.Generator().manual_seed((seed ^ _STREAM) % 2**63)
        complete = torch.rand((), generator=generator) >= probability
        # every true subset but the empty one is as likely as every other
        subset = int(torch.randint(1, max(2, 2 ** len(sensors) - 1), (), generator=generator))
        rows.append([bool(complete) or bool(subset >> place & 1) for place in range(len(sensors))])
    kept = torch.tensor(rows).to(batch.bev_from_level.device, non_blocking=True)
    present = torch.stack([batch.present(name) for name in sensors], dim=1)
    left = kept & present
    left = torch.where(left.any(1, keepdim=True), left, present)
    shown = [name for name, anywhere in zip(sensors, left.any(0).tolist(), strict=True) if anywhere]
    for name, here in zip(sensors, left.unbind(1), strict=True):
        batch = batch.keeping(name, here)
    return batch.of_sensors(shown)
