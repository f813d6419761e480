"""A label-efficiency study as YAML: what it compares, and how trainings are made of it."""

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.parsing import readable
from avjepa.commands.pretrain import BUNDLE, PretrainCLI
from avjepa.data.datamodule import DetectionDataModule, PretrainDataModule
from avjepa.encoders.bundle import save_bundle
from avjepa.errors import UserError
from avjepa.evaluate.label_efficiency.grid import (
    Cell,
    LongerTraining,
    Method,
    Mode,
    Pretraining,
    Setting,
    Study,
    Tuning,
    labelled_scenes,
)
from avjepa.evaluate.label_efficiency.worker import Builder, DetectorRun
from avjepa.files import write_text
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS
from avjepa.training.metrics import read_rows

Labels = list[int | str]


@dataclass(frozen=True)
class MethodConfig:
    """One method.

    Attributes:
        pretrain: configuration of ``avjepa pretrain``, relative to the study's file; ``null`` for scratch.
        overrides: keys that differ from it; files that they name are found from the study's.
        export: which encoder is kept: ``encoder`` or ``target.teacher``.
        pretrain_steps: lengths of pre-training; the study's by default.
        labels: label amounts; the study's by default.
        frozen_labels: label amounts with a frozen backbone, where they are others; the study's by default.
        modes: the study's by default.
    """

    pretrain: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    export: str = "encoder"
    pretrain_steps: list[int] | None = None
    labels: Labels | None = None
    frozen_labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] | None = None


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
    """Cells, end to end, that are trained for longer as well.

    Attributes:
        steps: optimiser steps.
        methods: their names.
        labels: label amounts.
    """

    steps: int
    methods: list[str]
    labels: Labels


@dataclass(frozen=True)
class StudyConfig:
    """A study.

    Attributes:
        sensor: its name in tables.
        finetune: configuration of ``avjepa finetune``, relative to this file.
        methods: by name. ``scratch``, ``jepa`` and ``generative`` have a role in the claims that are tested.
        labels: label amounts: numbers of scenes, or shares such as "5%".
        frozen_labels: label amounts with a frozen backbone; the same by default.
        steps: optimiser steps of every fine-tuning.
        pretrain_steps: optimiser steps of every pre-training; the longest counts, shorter ones are for ``compute``.
        tune: how settings are chosen.
        compute: the curve of score against compute.
        longer: cells that are trained for longer as well.
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
    frozen_labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] = field(default_factory=lambda: ["frozen", "end_to_end"])
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    pretrain_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    pretrain_overrides: dict[str, Any] = field(default_factory=dict)
    finetune_overrides: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "StudyConfig":
        """Read a study's file; the files that it names are found from where it lies.

        Raises:
            UserError: it cannot be read, has an unknown key, lacks one, or a value is of the wrong type.
        """
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"--config {path}: cannot be read ({' '.join(str(error).split())})") from error
        _require_known(given, cls, "", path)
        methods = given.get("methods")
        for name, method in methods.items() if isinstance(methods, Mapping) else ():
            _require_known(method, MethodConfig, f"methods.{name}", path)
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("study", type=cls)
        try:
            # overrides are parts of other files: parsed here, a class in them would be completed with its defaults
            config = parser.instantiate_classes(parser.parse_object({"study": _without_overrides(given)})).study
        except (ArgumentError, TypeError) as error:
            raise UserError(f"--config {path}: {readable(error)}") from error
        assert isinstance(config, cls)
        here = path.parent
        complete = {
            name: replace(
                method,
                pretrain=str(here / method.pretrain) if method.pretrain else None,
                overrides=_overrides(given["methods"][name], "overrides", path),
            )
            for name, method in config.methods.items()
        }
        return replace(
            config,
            finetune=str(here / config.finetune),
            methods=complete,
            pretrain_overrides=_overrides(given, "pretrain_overrides", path),
            finetune_overrides=_overrides(given, "finetune_overrides", path),
        )

    def study(self, total_scenes: int) -> Study:
        """The grid, given the number of scenes with labels.

        Raises:
            UserError: a value is out of range.
        """
        methods = []
        for name, method in self.methods.items():
            if not name.replace("_", "").isalnum():
                raise UserError(f"methods: {name!r} becomes part of file names; use letters, digits and _")
            steps = sorted(set(method.pretrain_steps or self.pretrain_steps)) if method.pretrain else [0]
            if method.pretrain and min(steps) < 1:
                raise UserError(f"methods.{name}.pretrain_steps: {steps} must be at least 1; scratch has no pretrain")
            frozen = method.frozen_labels or (None if method.labels else self.frozen_labels)
            methods.append(
                Method(
                    name,
                    tuple(steps),
                    labelled_scenes(method.labels or self.labels, total_scenes),
                    tuple(method.modes or self.modes),
                    labelled_scenes(frozen, total_scenes) if frozen else None,
                )
            )
        if self.longer and (unknown := [name for name in self.longer.methods if name not in self.methods]):
            raise UserError(f"longer.methods: {unknown[0]!r} is no method of the study; there are {list(self.methods)}")
        longer = None
        if self.longer is not None:
            scenes = labelled_scenes(self.longer.labels, total_scenes)
            longer = LongerTraining(self.longer.steps, tuple(self.longer.methods), scenes)
        tune = self.tune
        compute_modes: tuple[Mode, ...] = tuple(self.compute.modes) if self.compute else ()
        return Study(
            self.sensor,
            tuple(methods),
            total_scenes,
            self.steps,
            Tuning(
                labelled_scenes([tune.labels], total_scenes)[0],
                tuple(tune.frozen),
                tuple(tune.end_to_end),
                tuple(tune.seeds),
            ),
            tuple(self.seeds),
            tuple(self.pretrain_seeds),
            labelled_scenes(self.compute.labels, total_scenes) if self.compute else (),
            compute_modes,
            longer,
        )

    def finetuning(self) -> dict[str, Any]:
        """The configuration of every fine-tuning."""
        configuration: dict[str, Any] = merged(content(self.finetune), self.finetune_overrides)
        return configuration

    def pretraining(self, method: str) -> dict[str, Any] | None:
        """The configuration of a method's pre-training; ``None`` for scratch."""
        file = self.methods[method].pretrain
        if file is None:
            return None
        common = merged(content(file), self.pretrain_overrides)
        configuration: dict[str, Any] = merged(common, self.methods[method].overrides)
        return configuration

    def definition(self) -> dict[str, Any]:
        """What must not change between two runs that share records: everything but the extent of the grid."""
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
            "pretrain_seeds": self.pretrain_seeds[0],
            "methods": {name: [self.pretraining(name), method.export] for name, method in self.methods.items()},
        }


def _without_overrides(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    rest = {name: value for name, value in given.items() if name not in ("pretrain_overrides", "finetune_overrides")}
    if isinstance(methods := rest.get("methods"), Mapping):
        rest["methods"] = {
            name: {k: v for k, v in method.items() if k != "overrides"} if isinstance(method, Mapping) else method
            for name, method in methods.items()
        }
    return rest


def _require_known(given: Any, kind: type, where: str, path: Path) -> None:
    if not isinstance(given, Mapping):
        raise UserError(f"--config {path}: {where or 'the file'} must be keys and values, got {given!r}")
    known = [field.name for field in fields(kind)]
    if unknown := [name for name in given if name not in known]:
        place = f"{where}.{unknown[0]}" if where else unknown[0]
        raise UserError(f"--config {path}: unknown key {place}; there are {', '.join(known)}")


def _overrides(given: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise UserError(f"--config {path}: {name} must be keys and values, as in the file that they change")
    inlined: dict[str, Any] = _inlined(value, path.parent)
    return inlined


def content(path: str | Path) -> Any:
    """What a configuration file says, with the files that it names put in their place.

    Raises:
        UserError: one of them cannot be read.
    """
    path = Path(path)
    try:
        return _inlined(yaml.safe_load(path.read_text(encoding="utf-8")), path.parent)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); the study's file names it"
        ) from error


def _inlined(value: Any, folder: Path) -> Any:
    match value:
        case dict():
            return {name: _inlined(item, folder) for name, item in value.items()}
        case list():
            return [_inlined(item, folder) for item in value]
        case str() if value.endswith(".yaml") and (folder / value).is_file():
            return content(folder / value)
    return value


def merged(base: Any, changes: Any) -> Any:
    """A configuration with other values for some keys, at any depth.

    Where a class gives way to another one, arguments that the other takes too stay as they are: objectives that are
    compared have the same encoder, masks and input drop-out without their being repeated.

    Raises:
        UserError: there is no such class.
    """
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping):
        return changes
    if "class_path" in changes and changes["class_path"] != base.get("class_path"):
        accepted = _parameters(changes["class_path"])
        shared = {name: value for name, value in base.get("init_args", {}).items() if name in accepted}
        return {"class_path": changes["class_path"], "init_args": merged(shared, changes.get("init_args", {}))}
    return {**base, **{name: merged(base.get(name), value) for name, value in changes.items()}}


def _parameters(class_path: str) -> set[str]:
    module, _, name = class_path.rpartition(".")
    try:
        return set(inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"overrides: class_path {class_path!r} names no class ({error}); give its full path") from error


class ConfiguredBuilder(Builder):
    """Trainings from configuration files, parsed exactly as the commands ``pretrain`` and ``finetune`` parse them.

    Args:
        config: the study.
        out: the study's folder; what overrides a file is written there.
        data: root of the dataset.
        version: its version.
        options: further options for both commands.
    """

    def __init__(self, config: StudyConfig, out: Path, data: Path, version: str, options: Sequence[str] = ()) -> None:
        self.config = config
        self._source = [f"--data={data}", f"--version={version}", *options]
        self._finetune = out / "configs" / "finetune.yaml"
        write_text(self._finetune, yaml.safe_dump(config.finetuning()))
        self._pretrain: dict[str, Path] = {}
        for name in config.methods:
            configuration = config.pretraining(name)
            if configuration is not None:
                self._pretrain[name] = out / "configs" / f"pretrain_{name}.yaml"
                write_text(self._pretrain[name], yaml.safe_dump(configuration))

    def pretrain(self, job: Pretraining, folder: Path) -> dict[str, Any]:
        """``avjepa pretrain`` of the method's file and overrides; for scratch, random weights as a bundle."""
        common = [*self._source, f"--seed={job.seed}", f"--out={folder}", *_quiet(folder)]
        if job.method not in self._pretrain:
            arguments = [f"--config={self._finetune}", *common]
            scratch = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, arguments)
            save_bundle(scratch.model.detector.backbone, folder / BUNDLE, scratch.provenance())
            return {}
        export, checkpoint = self.config.methods[job.method].export, folder / CHECKPOINTS / LAST
        arguments = [
            f"--config={self._pretrain[job.method]}", *common, f"--steps={job.steps}", f"--export={export}",
            *(["--ckpt_path=last"] if checkpoint.is_file() else []),
        ]  # fmt: skip
        cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
        _hide_progress(cli.trainer)
        cli.fit()
        cli.export()
        losses = [row["train/loss"] for row in read_rows(folder / "metrics.csv") if "train/loss" in row]
        batch_size = cli.datamodule.batch_size * cli.trainer.accumulate_grad_batches * cli.trainer.world_size
        return {"batch_size": batch_size} | ({"final_loss": losses[-1]} if losses else {})

    def detector(self, cell: Cell, setting: Setting, bundle: Path, split: str, folder: Path) -> DetectorRun:
        """``avjepa finetune`` of the study's file with the cell's backbone, scenes, seed and setting."""
        arguments = [
            f"--config={self._finetune}", *self._source, f"--seed={cell.seed}",
            f"--steps={cell.steps or self.config.steps}", f"--out={folder}", *_quiet(folder),
            f"--model.mode={cell.mode}", f"--model.weights={bundle}", f"--model.learning_rate={setting.learning_rate}",
            f"--model.backbone_learning_rate_factor={setting.backbone_learning_rate_factor}",
            f"--model.head_first_steps={setting.head_first_steps}", f"--model.layer_decay={setting.layer_decay}",
            f"--data.scenes={cell.scenes}", f"--data.val_split={split}",
        ]  # fmt: skip
        cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, arguments)
        _hide_progress(cli.trainer)
        return DetectorRun(cli.model, cli.datamodule, cli.trainer)


def _quiet(folder: Path) -> list[str]:
    logger = {"class_path": "avjepa.training.metrics.MetricsFile", "init_args": {"directory": str(folder)}}
    return [f"--trainer.logger={json.dumps(logger)}"]


def _hide_progress(trainer: Any) -> None:
    if trainer.progress_bar_callback is not None:
        trainer.progress_bar_callback.disable()
