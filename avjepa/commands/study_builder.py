"""The trainings of a label-efficiency study, made of its configuration files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning import Callback

from avjepa.bundle.bundle import save_bundle
from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.pretrain import BUNDLE, PretrainCLI
from avjepa.commands.study import StudyConfig
from avjepa.data.loading.datamodule import DetectionDataModule, PretrainDataModule
from avjepa.files import write_text
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.study.last_loss import LastLoss
from avjepa.study.plan import Pretraining, Run, Setting
from avjepa.study.worker import Builder, DetectorRun
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS
from avjepa.training.metrics import read_rows


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

    def detector(self, cell: Run, setting: Setting, bundle: Path, split: str, folder: Path) -> DetectorRun:
        """``avjepa finetune`` of the study's file with the cell's backbone, scenes, seed and setting."""
        arguments = [
            f"--config={self._finetune}", *self._source, f"--seed={cell.seed}",
            f"--steps={cell.steps or self.config.steps}", f"--out={folder}", *_quiet(folder),
            f"--model.mode={cell.mode}", f"--model.weights={bundle}", f"--model.learning_rate={setting.learning_rate}",
            f"--model.backbone_learning_rate_factor={setting.backbone_learning_rate_factor}",
            f"--model.head_first_steps={setting.head_first_steps}", f"--model.layer_decay={setting.layer_decay}",
            f"--data.scenes={cell.scenes}", f"--data.eval_split={split}",
        ]  # fmt: skip
        cli = _StudyFinetune("finetune", FinetuneModule, DetectionDataModule, arguments)
        _hide_progress(cli.trainer)
        return DetectorRun(cli.model, cli.datamodule, cli.trainer, cli.last_loss)


class _StudyFinetune(FinetuneCLI):
    """Keeps the last loss for the record."""

    def callbacks(self) -> list[Callback]:
        """Beside those of every training."""
        self.last_loss = LastLoss()
        return [self.last_loss]


def _quiet(folder: Path) -> list[str]:
    logger = {"class_path": "avjepa.training.metrics.MetricsFile", "init_args": {"directory": str(folder)}}
    return [f"--trainer.logger={json.dumps(logger)}"]


def _hide_progress(trainer: Any) -> None:
    if trainer.progress_bar_callback is not None:
        trainer.progress_bar_callback.disable()
