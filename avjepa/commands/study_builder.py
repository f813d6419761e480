"""The trainings of a label-efficiency study, made of its configuration files."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from lightning import Callback, Trainer, seed_everything

from avjepa import zoo
from avjepa.bundle.construction import architecture, build
from avjepa.bundle.files import fitting_weights, save_bundle
from avjepa.commands.configurations import merged
from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.one_network import require_one_network
from avjepa.commands.option_checks import require_no_null
from avjepa.commands.parsing import readable
from avjepa.commands.pretrain import PretrainCLI
from avjepa.commands.pseudo_labels import NoBoxError
from avjepa.commands.study import StudyConfig
from avjepa.commands.training import BUNDLE
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
from avjepa.evaluate.detection.task import DetectionTask
from avjepa.finetune.earlier_heads import heads_of_run
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.parsed_values import parsed
from avjepa.pretrain.export import encoder_architectures
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.provenance import provenance
from avjepa.study.jobs import Pretraining, Run, Setting
from avjepa.study.last_loss import LastLoss
from avjepa.study.worker import Builder, DetectorRun
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS
from avjepa.training.metrics import read_rows


class ConfiguredBuilder(Builder):
    """Trainings from configuration files, with the keys and the checks of the commands ``pretrain`` and ``finetune``.

    Args:
        config: the study.
        data: changes to the ``data`` of every training: the dataset's root and version, what to do with bad files.
        trainer: changes to its ``trainer``: the device.
    """

    def __init__(self, config: StudyConfig, data: Mapping[str, Any], trainer: Mapping[str, Any] | None = None) -> None:
        self.config = config
        common = {"data": dict(data), "trainer": dict(trainer or {})}
        self._finetune: dict[str, Any] = merged(config.finetuning(), common)
        self._means = {name: merged(config.finetuning(name), common) for name in config.means}
        self._pretrain: dict[str, dict[str, Any]] = {
            name: merged(configuration, common)
            for name in config.methods
            if (configuration := config.pretraining(name)) is not None
        }

    def check(self) -> None:
        """Build every training once, and start none.

        Raises:
            UserError: a configuration is not one that its command takes, or the data lacks a sensor that it reads;
                names the method. Or methods have different networks.
        """
        nowhere = Path("unused")  # building writes nothing
        networks: dict[str, dict[str, Any]] = {}
        methods = self.config.methods
        for name in methods:
            try:
                if name in self._pretrain:
                    pretraining = self._pretraining(Pretraining(name, 0, 1), nowhere)
                    pretraining.require_export("export: ")
                    pretraining.require_sensors()
                    pretraining.datamodule.reader_of(pretraining.datamodule.open())
                    exported = encoder_architectures(pretraining.model.objective)
                    networks[f"methods.{name}"] = exported[pretraining.config.export]
                for seed in self.config.pretrain_seeds if methods[name].bundle else ():
                    bundled = {"bundle": str(self._bundle(name, seed))}
                    cli = self._finetuning(self._finetune, nowhere, {"model": bundled})
                    cli.require_sensors()
                    fitting_weights(cli.model.model.backbone, bundled["bundle"])
                    networks[f"methods.{name}, {bundled['bundle']}"] = architecture(cli.model.model.backbone)
            except UserError as error:
                raise UserError(f"methods.{name}: {error}") from error
        for name, configuration in {"finetune": self._finetune, **self._means}.items():
            try:
                cli = self._finetuning(configuration, nowhere, {})
                cli.require_sensors()
                cli.datamodule.reader_of(cli.datamodule.open())
                if name == "finetune" and not all(method.bundle or method.pretrain for method in methods.values()):
                    networks = {name: architecture(cli.model.model.backbone)} | networks
                if (run := cli.config.model.init_heads) is not None:
                    heads_of_run(run, cli.model.model)
                if not isinstance(cli.model.tasks.get("detection"), DetectionTask):
                    named = ", ".join(cli.model.tasks)
                    raise UserError(
                        f"model.tasks: a study compares detections, and none of {named} is a DetectionTask of the name "
                        "'detection'; add one"
                    )
            except UserError as error:
                raise UserError(f"means.{name}: {error}" if name in self._means else f"{name}: {error}") from error
        require_one_network(networks)

    def pretrain(self, job: Pretraining, folder: Path) -> dict[str, Any]:
        """``avjepa pretrain`` of the method's file and overrides; for scratch, random weights as a bundle.

        A bundle that is there is copied, so that a study stays whole whatever becomes of the original.
        """
        if self.config.methods[job.method].bundle is not None:
            shutil.rmtree(folder / BUNDLE, ignore_errors=True)
            shutil.copytree(self._bundle(job.method, job.seed), folder / BUNDLE)
            return {"pretrain_seconds": None}
        if job.method not in self._pretrain:
            self._save_random_backbone(job.seed, folder / BUNDLE)
            return {"pretrain_seconds": None}
        cli = self._pretraining(job, folder)
        cli.fit()
        cli.export()
        losses = [row["train/loss"] for row in read_rows(folder / "metrics.csv") if "train/loss" in row]
        batch_size = cli.datamodule.batch_size * cli.trainer.accumulate_grad_batches * cli.trainer.world_size
        return {"batch_size": batch_size} | ({"final_loss": losses[-1]} if losses else {})

    def detector(
        self,
        cell: Run,
        setting: Setting,
        bundle: Path,
        features: Path | None,
        split: str,
        folder: Path,
        taught: Path | None = None,
    ) -> DetectorRun:
        """``avjepa finetune`` of the study's file with the cell's backbone, scenes, seed, setting and means."""
        changes: dict[str, Any] = {
            "seed_everything": cell.seed,
            "model": {"mode": cell.mode, "bundle": str(bundle), **asdict(setting)},
            "data": {"scenes": cell.scenes, "eval_split": split},
            "trainer": {"max_steps": cell.steps or self.config.steps},
        }
        if features is not None and "data" in self._overrides_of(cell):
            features = features.with_name(f"{features.name}+{cell.means}")  # other inputs, other maps
        if features is not None:  # nothing is pasted into maps, and none are left to be loaded beside the training
            kept = {"features": str(features), "data": {"gt_sampling": None, "workers": 0}}
            changes = merged(changes, kept)
        if taught is not None:
            changes |= {"pseudo_labels": str(taught), "pseudo_score": self.config.means[cell.means].pseudo_score}
        try:
            cli = self._finetuning(self._means.get(cell.means, self._finetune), folder, changes)
        except NoBoxError as error:
            raise UserError(
                f"means.{cell.means}: no box of {cell.backbone.method} reaches pseudo_score, {error.best}; have means "
                "of another name with a lower one, or choose another --out"
            ) from error
        return DetectorRun(cli.model, cli.datamodule, cli.trainer, cli.last_loss, cli.kept_maps(training=True))

    def keyframes(self, split: str, scenes: int | None = None, seed: int = 0) -> DetectionDataModule:
        """The ``data`` of the study's file alone; set up."""
        data = self.detection_data({"eval_split": split, "scenes": scenes, "seed": seed})
        data.setup("predict")
        return data

    def detection_data(self, changes: Mapping[str, Any] | None = None) -> DetectionDataModule:
        """The ``data`` of the study's file, with other values for some keys.

        Raises:
            UserError: it is not what ``avjepa finetune`` takes.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(DetectionDataModule, "data")
        try:
            options = parsed(parser, {"data": {**self._finetune["data"], **(changes or {})}})
            require_no_null(options.data)
            data: DetectionDataModule = parser.instantiate_classes(options).data
        except ArgumentError as error:
            raise UserError(f"finetune: {readable(error)}") from error
        return data

    def _overrides_of(self, cell: Run) -> Mapping[str, Any]:
        return self.config.means[cell.means].overrides if cell.means else {}

    def _save_random_backbone(self, seed: int, folder: Path) -> None:
        backbone = self._finetune["model"]["backbone"]
        seed_everything(seed, workers=True, verbose=False)
        encoder = build(BEVBackbone, backbone, self.config.finetune)  # type: ignore[type-abstract]
        save_bundle(encoder, folder, provenance("label-efficiency", {"backbone": backbone}, seed=seed, data={}))

    def _pretraining(self, job: Pretraining, folder: Path) -> PretrainCLI:
        checkpoint = folder / CHECKPOINTS / LAST
        changes = {
            **_quiet(folder),
            "seed_everything": job.seed,
            "export": self.config.methods[job.method].export,
            "ckpt_path": "last" if checkpoint.is_file() else None,
        }
        configuration = merged(self._pretrain[job.method], merged(changes, {"trainer": {"max_steps": job.steps}}))
        cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, configuration)
        _hide_progress(cli.trainer)
        return cli

    def _bundle(self, method: str, seed: int) -> Path:
        """Of a method that names one; raises ``UserError`` where the zoo has none of that name."""
        return zoo.located(str(self.config.methods[method].bundle).replace("{seed}", str(seed)))

    def _finetuning(
        self, configuration: Mapping[str, Any], folder: Path, changes: Mapping[str, Any]
    ) -> "_StudyFinetune":
        cli = _StudyFinetune(merged(configuration, merged(_quiet(folder), changes)))
        _hide_progress(cli.trainer)
        return cli


class _StudyFinetune(FinetuneCLI):
    """Keeps the last loss for the outcome of a job.

    Args:
        configuration: of ``avjepa finetune``.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        super().__init__("finetune", FinetuneModule, DetectionDataModule, configuration)

    def callbacks(self) -> list[Callback]:
        """Beside those of every training."""
        self.last_loss = LastLoss()
        return [self.last_loss]


def _quiet(folder: Path) -> dict[str, Any]:
    logger = {"class_path": "avjepa.training.metrics.MetricsFile", "init_args": {"directory": str(folder)}}
    return {"out": str(folder), "trainer": {"logger": logger}}


def _hide_progress(trainer: Trainer) -> None:
    if trainer.progress_bar_callback is not None:
        trainer.progress_bar_callback.disable()
