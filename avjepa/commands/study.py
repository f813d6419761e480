"""A label-efficiency study as YAML: what it compares."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser

from avjepa import zoo
from avjepa.commands.configurations import inlined, load_config, merged, read_yaml
from avjepa.commands.parsing import readable
from avjepa.commands.shipped import configuration_file
from avjepa.commands.study_checks import require_file_name, require_known, require_no_empty_list
from avjepa.commands.study_parts import ComputeConfig, Labels, LongerConfig, MeansConfig, MethodConfig, TuneConfig
from avjepa.errors import UserError
from avjepa.finetune.earlier_heads import checkpoint_of
from avjepa.finetune.labels_used import learned_by
from avjepa.parsed_values import parsed
from avjepa.ranges import LARGEST, require_number
from avjepa.study.jobs import Mode
from avjepa.study.plan import LongerTraining, Means, Method, Study, Tuning, labelled_scenes

_SET_BY_THE_STUDY: dict[str, tuple[str, ...]] = {
    "model": (
        "mode", "bundle", "learning_rate", "backbone_learning_rate_factor", "head_first_steps", "layer_decay",
    ),
    "data": ("scenes", "eval_split", "seed"),
    "trainer": ("max_steps",),
    "": ("seed_everything", "out", "features", "pseudo_labels", "pseudo_score"),
}  # fmt: skip
"""Keys of a fine-tuning that say which cell of the grid it is, and how it was tuned."""


@dataclass(frozen=True)
class StudyConfig:
    """A study.

    Attributes:
        sensor: its name in tables.
        finetune: configuration of ``avjepa finetune``, relative to this file, or the name of one that ships.
        methods: by name. ``scratch``, ``jepa`` and ``generative`` have a role in the claims that are tested.
        labels: label amounts: numbers of scenes, or shares such as "5%".
        frozen_labels: label amounts with a frozen backbone; the same by default.
        steps: optimiser steps of every fine-tuning.
        pretrain_steps: optimiser steps of every pre-training; the longest counts, shorter ones are for ``compute``.
        tune: how settings are chosen.
        compute: the curve of score against compute.
        longer: cells that are trained for longer as well.
        means: by name, what is added to methods: pasted objects, a detector that teaches itself.
        modes: frozen, end_to_end.
        seeds: a run of every cell each.
        pretrain_seeds: run i uses backbone i.
        pretrain_overrides: keys that differ from every pre-training's file.
        finetune_overrides: keys that differ from the fine-tuning's file.
    """

    sensor: str
    finetune: str
    methods: dict[str, MethodConfig]
    labels: Labels
    steps: int
    pretrain_steps: list[int]
    tune: TuneConfig
    compute: ComputeConfig | None = None
    longer: LongerConfig | None = None
    means: dict[str, MeansConfig] = field(default_factory=dict)
    frozen_labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] = field(default_factory=lambda: ["frozen", "end_to_end"])
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    pretrain_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    pretrain_overrides: dict[str, Any] = field(default_factory=dict)
    finetune_overrides: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "StudyConfig":
        """Read a study's file; configurations that it names are found from where it lies.

        Folders of runs (``bundle``, ``init_heads``) are found from where the command runs, as they are in trainings.

        Raises:
            UserError: it cannot be read, has an unknown key, lacks one, or a value is of the wrong type.
        """
        given = read_yaml(path)
        require_known(given, cls, "", path)
        methods = given.get("methods")
        for name, method in methods.items() if isinstance(methods, Mapping) else ():
            require_known(method, MethodConfig, f"methods.{name}", path)
        all_means = given.get("means")
        for name, means in all_means.items() if isinstance(all_means, Mapping) else ():
            require_known(means, MeansConfig, f"means.{name}", path)
        require_no_empty_list(_without_overrides(given), "", path)
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("study", type=cls)
        try:
            # overrides are parts of other files: parsed here, a class in them would be completed with its defaults
            config = parser.instantiate_classes(parsed(parser, {"study": _without_overrides(given)})).study
        except UserError as error:
            raise UserError(f"--config {path}: {error}") from error
        except (ArgumentError, TypeError) as error:
            keys = "|".join(field.name for field in fields(cls))
            said = re.sub(rf"(--)?\bstudy\.(?=({keys})\b)", "", readable(error)).removesuffix("; see --help")
            raise UserError(f"--config {path}: {said}") from error
        assert isinstance(config, cls)
        here = path.parent
        complete = {
            name: replace(
                method,
                pretrain=_configuration(here, method.pretrain, "pretrain") if method.pretrain else None,
                bundle=_whole_path(method.bundle) if method.bundle else None,
                overrides=_overrides(given["methods"][name], "overrides", path),
            )
            for name, method in config.methods.items()
        }
        means = {
            name: replace(added, overrides=_overrides(given["means"][name], "overrides", path))
            for name, added in config.means.items()
        }
        return replace(
            config,
            finetune=_configuration(here, config.finetune, "finetune"),
            methods=complete,
            means=means,
            pretrain_overrides=_overrides(given, "pretrain_overrides", path),
            finetune_overrides=_overrides(given, "finetune_overrides", path),
        )

    def study(self, total_scenes: int) -> Study:
        """The grid, given the number of scenes with labels.

        Raises:
            UserError: a value is out of range.
        """
        require_file_name("sensor", self.sensor)
        methods = []
        for name, method in self.methods.items():
            require_file_name("methods", name)
            steps, own = self._pretrain_steps(name, method), f"methods.{name}."
            frozen = method.frozen_labels or (None if method.labels else self.frozen_labels)
            methods.append(
                Method(
                    name,
                    tuple(steps),
                    labelled_scenes(
                        method.labels or self.labels, total_scenes, f"{own if method.labels else ''}labels"
                    ),
                    tuple(method.modes or self.modes),
                    labelled_scenes(frozen, total_scenes, f"{own if method.frozen_labels else ''}frozen_labels")
                    if frozen
                    else None,
                    one_backbone=method.bundle is not None and "{seed}" not in method.bundle,
                )
            )
        if self.longer and (unknown := [name for name in self.longer.methods if name not in self.methods]):
            raise UserError(f"longer.methods: {unknown[0]!r} is no method of the study; there are {list(self.methods)}")
        longer = None
        if self.longer is not None:
            for name in self.longer.methods:
                modes = self.methods[name].modes or self.modes
                if not set(modes) & set(self.longer.modes):
                    raise UserError(
                        f"longer.modes: {', '.join(self.longer.modes)} is no mode of {name}, which has "
                        f"{', '.join(modes)}; add one, or leave the method out"
                    )
            scenes = labelled_scenes(self.longer.labels, total_scenes, "longer.labels")
            longer = LongerTraining(self.longer.steps, tuple(self.longer.methods), scenes, tuple(self.longer.modes))
        tune = self.tune
        compute_modes: tuple[Mode, ...] = tuple(self.compute.modes) if self.compute else ()
        return Study(
            self.sensor,
            tuple(methods),
            total_scenes,
            self.steps,
            Tuning(
                labelled_scenes([tune.labels], total_scenes, "tune.labels")[0],
                tuple(tune.frozen),
                tuple(tune.end_to_end),
                tuple(tune.seeds),
            ),
            tuple(self.seeds),
            tuple(self.pretrain_seeds),
            labelled_scenes(self.compute.labels, total_scenes, "compute.labels") if self.compute else (),
            compute_modes,
            longer,
            tuple(self._means(name, added, total_scenes) for name, added in self.means.items()),
        )

    def _pretrain_steps(self, name: str, method: MethodConfig) -> list[int]:
        """Of a method's pre-trainings, ascending; 0 for none."""
        if method.bundle is not None and (method.pretrain or len(method.pretrain_steps or ()) != 1):
            raise UserError(
                f"methods.{name}.bundle: is a backbone that is there; have no pretrain beside it, and one number in "
                "pretrain_steps: for how long it was trained"
            )
        if method.bundle is None and not method.pretrain:
            return [0]
        steps = sorted(set(method.pretrain_steps or self.pretrain_steps))
        if not 1 <= min(steps) <= max(steps) <= LARGEST:
            key = f"methods.{name}.pretrain_steps" if method.pretrain_steps else "pretrain_steps"
            raise UserError(f"{key}: {steps} must be at least 1 and at most {LARGEST:g}; scratch has no pretrain")
        return steps

    def _means(self, name: str, added: MeansConfig, total_scenes: int) -> Means:
        require_file_name("means", name)
        if re.fullmatch(r"n\d+", name):
            raise UserError(f"means: {name!r} is how longer trainings are named; choose another name")
        if unknown := [method for method in added.methods if method not in self.methods]:
            raise UserError(
                f"means.{name}.methods: {unknown[0]!r} is no method of the study; there are {', '.join(self.methods)}"
            )
        if added.pseudo_score is not None:
            require_number(f"means.{name}.pseudo_score", added.pseudo_score, at_least=0, at_most=1)
        scenes = labelled_scenes(added.labels or self.labels, total_scenes, f"means.{name}.labels")
        modes = tuple(added.modes or self.modes)
        for method in added.methods:
            own = self.methods[method].modes or self.modes
            if lacking := [mode for mode in added.modes or () if mode not in own]:
                raise UserError(
                    f"means.{name}.modes: {lacking[0]} is no mode of {method}, so there is nothing to compare "
                    f"it with; there is {' and '.join(own)}"
                )
        if added.pseudo_score is None and self.finetuning(name) == self.finetuning():
            raise UserError(f"means.{name}: changes nothing; give it overrides or a pseudo_score, or leave it out")
        data = self.finetuning(name).get("data", {})
        wants_labels = [key for key in ("gt_sampling", "clips", "class_balanced") if data.get(key)]
        if wants_labels and added.pseudo_score is not None:
            raise UserError(
                f"means.{name}: data.{wants_labels[0]} needs annotated boxes in all training scenes, and "
                "pseudo_score is for scenes without; have two means"
            )
        if "gt_sampling" in (added.overrides.get("data") or {}) and "frozen" in modes:
            raise UserError(
                f"means.{name}.overrides: data.gt_sampling pastes nothing into the kept maps of a frozen backbone; "
                "give it modes: [end_to_end]"
            )
        run = self.finetuning(name).get("model", {}).get("init_heads")
        learned = "" if run is None else learned_by(str(run))
        return Means(name, tuple(added.methods), scenes, modes, added.pseudo_score is not None, learned)

    def finetuning(self, means: str = "") -> dict[str, Any]:
        """The configuration of every fine-tuning; of one to which means are added."""
        _require_left_to_the_study(self.finetune_overrides, "finetune_overrides")
        configuration = merged(_named_by("finetune", self.finetune), self.finetune_overrides)
        if means:
            _require_left_to_the_study(self.means[means].overrides, f"means.{means}.overrides")
            configuration = merged(configuration, self.means[means].overrides)
        return _training(configuration, f"means.{means}" if means else "finetune")

    def pretraining(self, method: str) -> dict[str, Any] | None:
        """The configuration of a method's pre-training; ``None`` for scratch."""
        file = self.methods[method].pretrain
        if file is None:
            return None
        common = merged(_named_by(f"methods.{method}.pretrain", file), self.pretrain_overrides)
        return _training(merged(common, self.methods[method].overrides), f"methods.{method}")

    def definition(self) -> dict[str, Any]:
        """What must not change between two runs that share outcomes: everything but the extent of the grid."""
        tune = self.tune
        return {
            "sensor": self.sensor,
            "finetune": self.finetuning(),
            "steps": self.steps,
            "tune": [
                tune.labels,
                tune.seeds,
                *([s.definition() for s in given] for given in (tune.frozen, tune.end_to_end)),
            ],
            # the backbones of the trials, and so what they choose
            "pretrain_seeds": [self.pretrain_seeds[i % len(self.pretrain_seeds)] for i in range(len(tune.seeds))],
            "methods": {
                name: [self.pretraining(name), method.export, *([method.bundle] if method.bundle else [])]
                for name, method in self.methods.items()
            }
            | {
                f"+{name}": [self.finetuning(name), added.pseudo_score, *self._heads(name)]
                for name, added in self.means.items()
            },
        }

    def _heads(self, means: str) -> list[str]:
        """Digest of the weights that neck and heads start from, if they do: a run may be trained anew."""
        run = self.finetuning(means).get("model", {}).get("init_heads")
        if run is None:
            return []
        checkpoint = checkpoint_of(str(run))
        if not checkpoint.is_file():
            raise UserError(
                f"means.{means}: model.init_heads {run}: holds no {checkpoint.relative_to(str(run))}; make that run "
                "first, or leave the means out"
            )
        with checkpoint.open("rb") as file:
            return [hashlib.file_digest(file, "sha256").hexdigest()]


def _require_left_to_the_study(overrides: Mapping[str, Any], where: str) -> None:
    for section, keys in _SET_BY_THE_STUDY.items():
        given = (overrides.get(section) or {}) if section else overrides
        if isinstance(given, Mapping) and (found := [key for key in keys if key in given]):
            name = f"{section}.{found[0]}" if section else found[0]
            raise UserError(
                f"{where}: {name} is set by the study, from its steps, tune, labels, modes, seeds and pseudo_score; "
                "leave it out"
            )


def _named_by(key: str, file: str) -> Any:
    try:
        return load_config(file)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _training(configuration: Any, where: str) -> dict[str, Any]:
    """A training's configuration, whose sections are keys and values."""
    if not isinstance(configuration, dict):
        raise UserError(f"{where}: its file must be keys and values, got {str(configuration)[:80]!r}")
    for section in ("model", "data", "trainer"):
        if not isinstance(given := configuration.get(section, {}), dict):
            raise UserError(f"{where}: {section} must be keys and values, got {given!r}; see its overrides")
    return configuration


def _without_overrides(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    rest = {name: value for name, value in given.items() if name not in ("pretrain_overrides", "finetune_overrides")}
    for part in ("methods", "means"):
        if isinstance(entries := rest.get(part), Mapping):
            rest[part] = {
                name: {k: v for k, v in entry.items() if k != "overrides"} if isinstance(entry, Mapping) else entry
                for name, entry in entries.items()
            }
    return rest


def _configuration(here: Path, value: str, kind: str) -> str:
    """A file beside the study's, or the name of one that ships."""
    beside = here / value
    shipped = not beside.exists() and not beside.suffix
    return str(configuration_file(value, kind, f"{kind}: ") if shipped else beside)


def _whole_path(bundle: str) -> str:
    return bundle if bundle.startswith(zoo.PREFIX) else str(Path(bundle).resolve())


def _overrides(given: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise UserError(f"--config {path}: {name} must be keys and values, as in the file that they change")
    overrides: dict[str, Any] = inlined(value, path)
    return overrides
