"""A label-efficiency study as YAML: what it compares, and how trainings are made of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    Method,
    Mode,
    Pretraining,
    Setting,
    Study,
    Tuning,
    labelled_scenes,
)
from avjepa.evaluate.label_efficiency.worker import DetectorRun
from avjepa.files import write_text
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.export import export_backbone
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
        overrides: keys that differ from it.
        export: which encoder is kept: ``encoder`` or ``target.teacher``.
        pretrain_steps: lengths of pre-training; the study's by default.
        labels: label amounts; the study's by default.
        modes: the study's by default.
    """

    pretrain: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    export: str = "encoder"
    pretrain_steps: list[int] | None = None
    labels: Labels | None = None
    modes: list[Literal["frozen", "end_to_end"]] | None = None


@dataclass(frozen=True)
class TuneConfig:
    """The search for a setting, the same for every method.

    Attributes:
        labels: label amount at which it is made.
        frozen: settings that are tried with a frozen backbone.
        end_to_end: settings that are tried otherwise.
        seed: of the trials.
    """

    labels: int | str
    frozen: list[Setting]
    end_to_end: list[Setting]
    seed: int = 0


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
class StudyConfig:
    """A study.

    Attributes:
        sensor: its name in tables.
        finetune: configuration of ``avjepa finetune``, relative to this file.
        methods: by name. ``scratch``, ``jepa`` and ``generative`` have a role in the claims that are tested.
        labels: label amounts: numbers of scenes, or shares such as "5%".
        steps: optimiser steps of every fine-tuning.
        pretrain_steps: optimiser steps of every pre-training; the longest counts, shorter ones are for ``compute``.
        tune: how settings are chosen.
        compute: the curve of score against compute.
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
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"--config {path}: cannot be read ({error})") from error
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("study", type=cls)
        try:
            config = parser.instantiate_classes(parser.parse_object({"study": content})).study
        except (ArgumentError, TypeError) as error:
            raise UserError(f"--config {path}: {readable(error)}") from error
        assert isinstance(config, cls)
        here = path.parent
        methods = {
            name: replace(method, pretrain=str(here / method.pretrain)) if method.pretrain else method
            for name, method in config.methods.items()
        }
        return replace(config, finetune=str(here / config.finetune), methods=methods)

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
            methods.append(
                Method(
                    name,
                    tuple(steps),
                    labelled_scenes(method.labels or self.labels, total_scenes),
                    tuple(method.modes or self.modes),
                )
            )
        tune = self.tune
        compute_modes: tuple[Mode, ...] = tuple(self.compute.modes) if self.compute else ()
        return Study(
            self.sensor,
            tuple(methods),
            total_scenes,
            self.steps,
            Tuning(
                labelled_scenes([tune.labels], total_scenes)[0], tuple(tune.frozen), tuple(tune.end_to_end), tune.seed
            ),
            tuple(self.seeds),
            tuple(self.pretrain_seeds),
            labelled_scenes(self.compute.labels, total_scenes) if self.compute else (),
            compute_modes,
        )

    def definition(self) -> dict[str, Any]:
        """What must not change between two runs that share records: everything but the extent of the grid."""
        return {
            "sensor": self.sensor,
            "finetune": [_content(self.finetune), self.finetune_overrides, self.steps],
            "pretrain_overrides": self.pretrain_overrides,
            "tune": [
                self.tune.labels,
                self.tune.seed,
                *([vars(setting) for setting in settings] for settings in (self.tune.frozen, self.tune.end_to_end)),
            ],
            "pretrain_seeds": self.pretrain_seeds[0],
            "methods": {
                name: [_content(method.pretrain), method.overrides, method.export]
                for name, method in self.methods.items()
            },
        }


def _content(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({error}); the study's file names it") from error


class ConfiguredBuilder:
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
        self.source = [f"--data={data}", f"--version={version}", *options]
        self._folder = out / "configs"
        self._write("pretrain", config.pretrain_overrides)
        self._write("finetune", config.finetune_overrides)
        for name, method in config.methods.items():
            self._write(f"method-{name}", method.overrides)

    def _write(self, name: str, overrides: Mapping[str, Any]) -> None:
        write_text(self._folder / f"{name}.yaml", yaml.safe_dump(dict(overrides)))

    def _configs(self, base: str, *names: str) -> list[str]:
        return [f"--config={base}", *(f"--config={self._folder / name}.yaml" for name in names)]

    def pretrain(self, job: Pretraining, folder: Path) -> dict[str, float]:
        """``avjepa pretrain`` of the method's file and overrides; for scratch, random weights as a bundle."""
        method = self.config.methods[job.method]
        if method.pretrain is None:
            cli = FinetuneCLI(
                "finetune", FinetuneModule, DetectionDataModule,
                [
                    *self._configs(self.config.finetune, "finetune"), *self.source, f"--seed={job.seed}",
                    f"--out={folder}", *_quiet(folder),
                ],
            )  # fmt: skip
            save_bundle(cli.model.detector.backbone, folder / BUNDLE, cli.provenance())
            return {}
        checkpoint = folder / CHECKPOINTS / LAST
        arguments = [
            *self._configs(method.pretrain, "pretrain", f"method-{job.method}"), *self.source, f"--seed={job.seed}",
            f"--steps={job.steps}", f"--out={folder}", *_quiet(folder), f"--export={method.export}",
            *(["--ckpt_path=last"] if checkpoint.is_file() else []),
        ]  # fmt: skip
        pretraining = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
        _hide_progress(pretraining.trainer)
        pretraining.fit()
        export_backbone(checkpoint, folder / BUNDLE, pretraining.provenance(), method.export)
        rows = read_rows(folder / "metrics.csv")
        losses = [row["train/loss"] for row in rows if "train/loss" in row]
        return {
            "batch_size": pretraining.datamodule.batch_size * pretraining.trainer.accumulate_grad_batches
            * pretraining.trainer.world_size,
            **({"final_loss": losses[-1]} if losses else {}),
        }  # fmt: skip

    def detector(self, cell: Cell, setting: Setting, bundle: Path, split: str, folder: Path) -> DetectorRun:
        """``avjepa finetune`` of the study's file with the cell's backbone, scenes, seed and setting."""
        arguments = [
            *self._configs(self.config.finetune, "finetune"), *self.source, f"--seed={cell.seed}",
            f"--steps={self.config.steps}", f"--out={folder}", *_quiet(folder),
            f"--model.mode={cell.mode}", f"--model.weights={bundle}", f"--model.learning_rate={setting.learning_rate}",
            f"--model.backbone_learning_rate_factor={setting.backbone_learning_rate_factor}",
            f"--model.head_first_steps={setting.head_first_steps}",
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
