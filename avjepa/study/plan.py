"""What a label-efficiency study consists of, and which jobs that makes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from avjepa.errors import UserError, counted
from avjepa.ranges import LARGEST, LARGEST_SEED
from avjepa.study.jobs import Mode, Pretraining, Run, Setting, StudyJob, Trial


def labelled_scenes(labels: Sequence[int | str], total: int, key: str = "labels") -> tuple[int, ...]:
    """Label amounts as numbers of scenes, ascending and without repetition.

    Args:
        labels: numbers of scenes, or shares such as ``"5%"``, of which the next larger number of scenes is taken.
        total: scenes of the training split.
        key: of the study's file, for messages.

    Raises:
        UserError: an entry is neither, or asks for no scene or for more than there are.
    """
    counts = set()
    for entry in labels:
        try:
            share = isinstance(entry, str) and entry.strip().endswith("%")
            # so that 7 % of 100 scenes are 7 and not 8
            wanted = math.ceil(round(float(str(entry).strip()[:-1]) / 100 * total, 9)) if share else int(entry)
        except (ValueError, OverflowError):
            raise UserError(f"{key}: {entry!r} is neither a number of scenes nor a share such as '5%'") from None
        if wanted < 1:
            raise UserError(f"{key}: {entry!r} is no scene; give at least 1, or a share above 0%")
        if wanted > total:
            asked = f" is {counted(wanted, 'scene')}" if share else ""
            raise UserError(
                f"{key}: {entry!r}{asked}, more than the training split has; give at most {total}, or a share such as "
                "'100%'"
            )
        counts.add(wanted)
    if not counts:
        raise UserError(f"{key}: the list is empty; give a number of scenes, or a share such as '5%'")
    return tuple(sorted(counts))


@dataclass(frozen=True)
class Method:
    """A way to come by a backbone.

    Attributes:
        name: in outcomes and plots; ``scratch``, ``jepa`` and ``generative`` have a role in the claims.
        pretrain_steps: lengths of pre-training, ascending; ``(0,)`` for none. The longest serves the grid, the shorter
            ones the curve of score against compute.
        scenes: label amounts of its cells, in scenes.
        modes: of its cells.
        frozen_scenes: label amounts of its cells with a frozen backbone; ``None`` for those of the others.
        one_backbone: whether all seeds share a backbone.
    """

    name: str
    pretrain_steps: tuple[int, ...]
    scenes: tuple[int, ...]
    modes: tuple[Mode, ...]
    frozen_scenes: tuple[int, ...] | None = None
    one_backbone: bool = False

    def scenes_of(self, mode: Mode) -> tuple[int, ...]:
        """Label amounts of its cells in a mode."""
        return self.scenes if mode == "end_to_end" or self.frozen_scenes is None else self.frozen_scenes


@dataclass(frozen=True)
class Means:
    """A way to get by with few labels that is added to methods: their backbones, their settings, other training.

    Attributes:
        name: in outcomes and plots, after the method's and a plus.
        methods: to which it is added, on their longest pre-training.
        scenes: label amounts.
        modes: with or without a frozen backbone.
        teacher: whether a detector without these means, of the same backbone, labels and seed, teaches by its boxes on
            the training scenes whose labels are not used.
        learned: what its neck and heads have learned before, in words; empty where they are new.
    """

    name: str
    methods: tuple[str, ...]
    scenes: tuple[int, ...]
    modes: tuple[Mode, ...]
    teacher: bool = False
    learned: str = ""


@dataclass(frozen=True)
class Tuning:
    """The search that every method is given, scratch included.

    Attributes:
        scenes: label amount at which it is made.
        frozen: settings that are tried where the backbone is frozen; one is taken without a trial.
        end_to_end: settings that are tried where it is trained too.
        seeds: every setting is tried with each of them, on the backbone that the study pairs with a run in this place.
    """

    scenes: int
    frozen: tuple[Setting, ...]
    end_to_end: tuple[Setting, ...]
    seeds: tuple[int, ...] = (0,)

    def settings(self, mode: Mode) -> tuple[Setting, ...]:
        """Those of a mode."""
        return self.frozen if mode == "frozen" else self.end_to_end


@dataclass(frozen=True)
class LongerTraining:
    """Some cells once more with more steps: whether what the study finds is owed to detectors that are cut short.

    Attributes:
        steps: optimiser steps of these cells.
        methods: whose cells.
        scenes: label amounts.
        modes: modes, of those that a method has.
    """

    steps: int
    methods: tuple[str, ...]
    scenes: tuple[int, ...]
    modes: tuple[Mode, ...] = ("end_to_end",)


@dataclass(frozen=True)
class Study:
    """A grid for one sensor, or for several that are fused.

    Attributes:
        sensor: its name in the table.
        methods: what is compared.
        total_scenes: scenes of the training split: all labels.
        steps: optimiser steps of every fine-tuning.
        tuning: the search for a setting.
        seeds: one run of every cell each.
        pretrain_seeds: seed i of the cells uses backbone i (modulo their number), so that the spread over seeds holds
            that of pre-training too.
        compute_scenes: label amounts at which shorter pre-trainings are scored.
        compute_modes: modes in which they are.
        longer: cells that are trained for longer as well.
        means: what is added to methods.
    """

    sensor: str
    methods: tuple[Method, ...]
    total_scenes: int
    steps: int
    tuning: Tuning
    seeds: tuple[int, ...] = (0, 1, 2)
    pretrain_seeds: tuple[int, ...] = (0, 1, 2)
    compute_scenes: tuple[int, ...] = ()
    compute_modes: tuple[Mode, ...] = field(default=("frozen",))
    longer: LongerTraining | None = None
    means: tuple[Means, ...] = ()

    def __post_init__(self) -> None:
        lengths = {"steps": self.steps, "longer.steps": self.longer.steps if self.longer else 1}
        for name, steps in lengths.items():
            if not 1 <= steps <= LARGEST:
                raise UserError(f"{name} is {steps}; a detector is trained for at least 1 and at most {LARGEST:g}")
        if self.longer is not None and self.longer.steps <= self.steps:
            raise UserError(f"longer.steps is {self.longer.steps}, and steps {self.steps}; longer is more of them")
        if without := [method.name for method in self.methods if not method.modes]:
            raise UserError(f"methods.{without[0]}.modes is empty; give frozen, end_to_end or both")
        if not self.methods or not self.seeds or not self.pretrain_seeds:
            raise UserError("methods, seeds and pretrain_seeds must not be empty")
        if not self.tuning.seeds:
            raise UserError("tune.seeds must not be empty")
        given = (self.seeds, "seeds"), (self.pretrain_seeds, "pretrain_seeds"), (self.tuning.seeds, "tune.seeds")
        for values, name in given:
            if len(set(values)) < len(values):
                raise UserError(f"{name} {list(values)} holds one twice; every run needs its own")
            if min(values) < 0 or max(values) > LARGEST_SEED:
                raise UserError(f"{name} {list(values)} must be from 0 to {LARGEST_SEED}")
        modes: tuple[Mode, ...] = ("frozen", "end_to_end")
        if repeated := [mode for mode in modes if len(set(tried := self.tuning.settings(mode))) < len(tried)]:
            raise UserError(f"tune.{repeated[0]} holds a setting twice; leave one of them out")
        if missing := [mode for mode in modes if not self.tuning.settings(mode)]:
            raise UserError(f"tune.{missing[0]} needs at least one setting")

    def runs(self) -> list[Run]:
        """Of the grid and of the curve against compute; cells that share a backbone stand together."""
        found: dict[Run, None] = {}
        for place, seed in enumerate(self.seeds):
            for method in self.methods:
                backbone_seed = self._backbone_seed(method, place)
                for steps in reversed(method.pretrain_steps):
                    longest = steps == max(method.pretrain_steps)
                    for mode in method.modes if longest else self.compute_modes:
                        for scenes in method.scenes_of(mode) if longest else self.compute_scenes:
                            found[Run(Pretraining(method.name, backbone_seed, steps), mode, scenes, seed)] = None
                if self.longer is not None and method.name in self.longer.methods:
                    backbone = Pretraining(method.name, backbone_seed, max(method.pretrain_steps))
                    for mode in method.modes:
                        for scenes in self.longer.scenes if mode in self.longer.modes else ():
                            found[Run(backbone, mode, scenes, seed, self.longer.steps)] = None
                for run in self._runs_with_means(method, backbone_seed, seed):
                    if (teacher := self.teacher_of(run)) is not None:
                        found[teacher] = None
                    found[run] = None
        return list(found)

    def _runs_with_means(self, method: Method, backbone_seed: int, seed: int) -> list[Run]:
        backbone = Pretraining(method.name, backbone_seed, max(method.pretrain_steps))
        return [
            Run(backbone, mode, scenes, seed, means=means.name)
            for means in self.means
            if method.name in means.methods
            for mode in means.modes
            if mode in method.modes  # else there is nothing to compare it with
            for scenes in means.scenes
            # no scene is left to a teacher that is taught on all of them
            if not means.teacher or scenes < self.total_scenes
        ]

    def teacher_of(self, run: Run) -> Run | None:
        """Whose boxes a run learns from; ``None`` for one that learns from labels alone."""
        taught = any(means.teacher for means in self.means if means.name == run.means)
        return replace(run, means="") if taught else None

    def is_teacher(self, run: Run) -> bool:
        """Whether others learn from its boxes."""
        return not run.means and any(self.teacher_of(other) == run for other in self.runs())

    def trials(self, method: str, mode: Mode) -> list[Trial]:
        """The search for a method's setting, setting by setting; empty where there is no choice."""
        settings = self.tuning.settings(mode)
        if len(settings) == 1:
            return []
        tried = next(m for m in self.methods if m.name == method)
        steps = max(tried.pretrain_steps)
        tuning = self.tuning
        cells = [
            Run(Pretraining(method, self._backbone_seed(tried, place), steps), mode, tuning.scenes, seed)
            for place, seed in enumerate(tuning.seeds)
        ]
        return [Trial(cell, setting) for setting in settings for cell in cells]

    def has_trials(self) -> bool:
        """Whether any setting is chosen by trials."""
        return any(isinstance(job, Trial) for job in self.jobs())

    def _backbone_seed(self, method: Method, place: int) -> int:
        if method.one_backbone:
            return self.pretrain_seeds[0]
        return self.pretrain_seeds[place % len(self.pretrain_seeds)]

    def jobs(self) -> list[StudyJob]:
        """Everything there is to do, in a good order: what others need comes first."""
        cells = self.runs()
        kinds = dict.fromkeys((cell.backbone.method, cell.mode) for cell in cells)
        trials = [trial for method, mode in kinds for trial in self.trials(method, mode)]
        backbones = dict.fromkeys([*(trial.cell.backbone for trial in trials), *(cell.backbone for cell in cells)])
        return [*backbones, *trials, *cells]

    def needs(self, job: StudyJob) -> list[StudyJob]:
        """What has to be done before."""
        match job:
            case Pretraining():
                return []
            case Trial():
                return [job.cell.backbone]
            case Run():
                teacher = self.teacher_of(job)
                taught = [] if teacher is None else [teacher]
                return [job.backbone, *self.trials(job.backbone.method, job.mode), *taught]
