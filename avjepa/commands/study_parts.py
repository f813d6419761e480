"""Parts of a label-efficiency study's YAML."""

from dataclasses import dataclass, field
from typing import Any, Literal

from avjepa.study.jobs import Setting

Labels = list[int | str]


@dataclass(frozen=True)
class MethodConfig:
    """One method.

    Attributes:
        pretrain: configuration of ``avjepa pretrain``, relative to the study's file, or the name of one that ships;
            ``null`` for scratch.
        overrides: keys that differ from it; files that they name are found from the study's.
        export: which encoder is kept: ``encoder`` or ``target.teacher``.
        pretrain_steps: lengths of pre-training; the study's by default.
        labels: label amounts; the study's by default.
        frozen_labels: label amounts with a frozen backbone, where they are others; the study's by default.
        modes: the study's by default.
        bundle: a backbone that is there, in the place of a pre-training of the study's own: a bundle's folder, from
            where the command runs, or ``zoo:NAME``. ``{seed}`` in it stands for the seed of the backbone; without it
            all seeds share one. ``pretrain_steps``, of one number, says for how long it was trained.
    """

    pretrain: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    export: str = "encoder"
    pretrain_steps: list[int] | None = None
    labels: Labels | None = None
    frozen_labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] | None = None
    bundle: str | None = None


@dataclass(frozen=True)
class MeansConfig:
    """A way to get by with few labels that is added to methods.

    Attributes:
        methods: to which.
        overrides: keys that differ from the configuration of the fine-tuning.
        labels: label amounts; the study's by default.
        modes: the study's by default.
        pseudo_score: where given, the method's own detector teaches: its boxes from this score on are labels of the
            training scenes whose own are not used (``avjepa finetune --pseudo_labels``).
    """

    methods: list[str]
    overrides: dict[str, Any] = field(default_factory=dict)
    labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] | None = None
    pseudo_score: float | None = None


@dataclass(frozen=True)
class TuneConfig:
    """The search for a setting, the same for every method.

    Attributes:
        labels: label amount at which it is made.
        frozen: settings that are tried with a frozen backbone.
        end_to_end: settings that are tried otherwise.
        seeds: of the trials; trial i uses backbone i, as run i does.
    """

    labels: int | str
    frozen: list[Setting]
    end_to_end: list[Setting]
    seeds: list[int] = field(default_factory=lambda: [0])


@dataclass(frozen=True)
class ComputeConfig:
    """Where pre-trainings that are shorter than the longest are scored.

    Attributes:
        labels: label amounts.
        modes: modes.
    """

    labels: Labels
    modes: list[Literal["frozen", "end_to_end"]] = field(default_factory=lambda: ["frozen"])


@dataclass(frozen=True)
class LongerConfig:
    """Cells that are trained for longer as well.

    Attributes:
        steps: optimiser steps.
        methods: their names.
        labels: label amounts.
        modes: modes, of those that a method has.
    """

    steps: int
    methods: list[str]
    labels: Labels
    modes: list[Literal["frozen", "end_to_end"]] = field(default_factory=lambda: ["end_to_end"])
