"""``avjepa finetune``."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from lightning import Callback
from lightning.pytorch.cli import LightningArgumentParser

from avjepa.bundle.construction import require_trusted
from avjepa.bundle.files import fitting_weights, save_bundle
from avjepa.commands.branch_bundles import branches_of, fused_configuration, sensors_of
from avjepa.commands.configurations import located
from avjepa.commands.parsing import readable
from avjepa.commands.pseudo_labels import LEAST_SCORE, OPTION, pseudo_labels
from avjepa.commands.scoring import evaluation_folder, holds_results, score
from avjepa.commands.sensors import require_read, sensors_of_network
from avjepa.commands.splits import scenes_of
from avjepa.commands.training import BUNDLE, TrainingCLI
from avjepa.data.datasets import layout_at
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sensor_inputs import Sensor
from avjepa.encoders.base import BEVBackbone
from avjepa.encoders.bundled import read_backbone_manifest
from avjepa.encoders.missing_sensor import LOADED
from avjepa.errors import UserError
from avjepa.evaluate.validation_scores import ValidationScores
from avjepa.finetune.earlier_heads import checkpoint_of, heads_of_run
from avjepa.finetune.kept_maps import KeptMaps
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.parsed_values import parsed
from avjepa.training.console import status

INIT_HEADS = "init_heads"
"""Key of a training's provenance: SHA-256 of the checkpoint whose neck and heads it started from."""


class FinetuneCLI(TrainingCLI):
    """Adds what happens after the training."""

    description = "Train heads on a pre-trained or a new backbone, then score every task on data.eval_split."

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the command beside those of trainer, model and data."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("data.taxonomy", "model.taxonomy", apply_on="instantiate")
        parser.link_arguments("bundles", "model.bundles")
        parser.add_argument(
            "--validate_every",
            type=int,
            default=None,
            help="optimiser steps between two looks at the loss on data.validation_split; none by default",
        )
        parser.add_argument(
            "--score_validation",
            type=bool,
            default=False,
            help="at every look also predict and log the scores, by avjepa's own fast evaluator",
        )
        parser.add_argument(
            "--features",
            type=str | None,
            default=None,
            help="folder in which the maps of a frozen backbone are kept; missing ones are computed first, and "
            "what is trained reads them instead of the sensors' files",
        )
        parser.add_argument(
            "--pseudo_labels",
            type=str | None,
            default=None,
            metavar="FILE",
            help="a teacher's predictions.json, or a file of avjepa pseudo-objects: its boxes are taught on training "
            "scenes whose labels are not used; on all of them with --data.scenes 0",
        )
        parser.add_argument(
            "--pseudo_score",
            type=float | dict[str, float],
            default=LEAST_SCORE,
            help="score from which on such a box is a label; of some classes as {car: 0.4, pedestrian: 0.2}",
        )
        parser.add_argument(
            "--evaluate", type=bool, default=True, help="after training, predict and score data.eval_split"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Also which taxonomy it is, its file by its whole path: ``config.yaml`` can be used from any folder."""
        super().parse_arguments(parser, args)
        data = self.config.data
        if data.taxonomy is None:
            data.taxonomy = layout_at(data.dataroot, data.version).taxonomy
        if data.taxonomy.endswith(".yaml"):
            data.taxonomy = located(data.taxonomy, Path.cwd())

    def callbacks(self) -> list[Callback]:
        """The scores of every validation, where they are asked for."""
        return [ValidationScores()] if self.config.score_validation else []

    def validation(self) -> dict[str, Any]:
        """Only where the user asks for it, on the split that the user names."""
        every, split = self.config.validate_every, self.config.data.validation_split
        if (every is None) != (split is None):
            missing = "--data.validation_split NAME" if split is None else "--validate_every N"
            raise UserError(f"a validation during the training needs {missing} too; give both or neither")
        if every is None and self.config.score_validation:
            raise UserError("--score_validation needs --validate_every N and --data.validation_split NAME too")
        if every is None:
            return super().validation()
        steps = self.steps()
        if not 1 <= every <= steps:
            raise UserError(f"--validate_every {every}: must be at least 1 and at most the number of steps, {steps}")
        batches = every * self.config.trainer.accumulate_grad_batches
        return {"num_sanity_val_steps": 0, "val_check_interval": batches, "check_val_every_n_epoch": None}

    def splits(self) -> tuple[str, ...]:
        """Also those for validation and evaluation, where there is one."""
        validated = () if self.config.validate_every is None else ("validation_split",)
        return ("train_split", *validated)

    def check(self, checkpoint: Path | None) -> None:
        """Also whether what is to be evaluated afterwards is there, and whether the bundle's weights fit.

        Raises:
            UserError: see ``TrainingCLI.check``.
        """
        self.require_sensors()
        source, loaded = self.datamodule.open(), self.datamodule.inputs.sensors()
        for sensor in loaded:
            if len(loaded) > 1 and not source.recorded(sensor).any():
                status(f"{source.name}: has no {sensor} data at all; the model goes without")
        self.kept_maps(training=True)
        super().check(checkpoint)
        if self.config.evaluate:
            try:
                scenes_of(self.datamodule.source, self.datamodule.eval_split, "--data.eval_split")
            except UserError as error:
                raise UserError(f"{error}; or train alone with --evaluate false") from error
            self.datamodule.predict_dataloader()  # a cache may lack what is evaluated
            if holds_results(folder := evaluation_folder(self)):
                status(f"{folder}: holds results of an earlier training, which this one will replace")
        if checkpoint is None and (run := self.config.model.init_heads) is not None:
            weights = heads_of_run(run, self.model.model)
            if weights.taxonomy not in (None, self.datamodule.taxonomy.digest()):
                status(f"--init_heads {run}: was trained with another taxonomy; its classes may mean other things")
        if checkpoint is None and self.config.model.bundle is not None:
            fitting_weights(self.model.model.backbone, self.config.model.bundle)
        for sensor, folder in (self.config.bundles or {}).items() if checkpoint is None else ():
            fitting_weights(self.model.branch(sensor), folder)

    def train(self, checkpoint: Path | None) -> None:
        """From the maps of a frozen backbone, where they are kept."""
        if (maps := self.kept_maps(training=True)) is not None:
            maps.of_training()
        super().train(checkpoint)

    def instantiate_classes(self) -> None:
        """Also let the data make what the heads are taught from: maps on the grids which these turned out to have."""
        super().instantiate_classes()
        if self.config.pseudo_labels is not None:
            file = Path(self.config.pseudo_labels)
            self.datamodule.pseudo_labels = pseudo_labels(file, self.config.pseudo_score, self.datamodule)
        elif self.config.pseudo_score != LEAST_SCORE:
            raise UserError(f"--pseudo_score: is of no use without {OPTION} FILE; give both or neither")
        heads = self.model.model.heads.values()
        grids = [head.map_grid for head in heads]
        self.datamodule.map_grids = tuple(dict.fromkeys(grid for grid in grids if grid is not None))
        self.datamodule.needs_boxes = any(head.needs_boxes for head in heads)
        self.datamodule.needs_queries = any(head.needs_queries for head in heads)
        if self.datamodule.clips is None:
            for name in (name for name, head in self.model.model.heads.items() if head.needs_clips):
                raise UserError(
                    f"model.tasks.{name}: is taught by several keyframes of a scene at once; set data.clips, as in "
                    "--data.clips.length 4"
                )

    def kept_maps(self, training: bool) -> KeptMaps | None:
        """What reads the maps of the frozen backbone from ``--features``; ``None`` where they are not kept.

        Args:
            training: whether heads are to be trained, on the weights of the bundle; else predictions alone are made,
                with the weights that the model has.

        Raises:
            UserError: they cannot be.
        """
        if self.config.features is None:
            return None
        batches = self.config.trainer.max_steps * self.config.trainer.accumulate_grad_batches
        samples = batches * self.datamodule.batch_size if training else None
        return KeptMaps(self.config.features, self.model, self.datamodule, self.trainer, samples, of_bundle=training)

    def provenance(self) -> dict[str, Any]:
        """Also which weights the heads start from, while they are there."""
        found = super().provenance()
        run = self.config.model.init_heads
        if run is not None and INIT_HEADS not in found and (path := checkpoint_of(run)).is_file():
            found[INIT_HEADS] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors that are loaded and that the network reads."""
        return sensors_of_network(self.model.model.backbone, self.datamodule.inputs.sensors())

    def require_sensors(self) -> None:
        """Raise ``UserError`` where the data or a stage show nothing that is read."""
        require_read(self.model.model.backbone, self.datamodule.inputs.sensors(), LOADED)
        for number, stage in enumerate(self.model.stages):
            if stage.sensors is not None and not set(stage.sensors) & set(self.sensors()):
                raise UserError(
                    f"model.stages: number {number} shows {', '.join(stage.sensors)} alone, and the network reads "
                    f"{', '.join(self.sensors())} of data.sensors; leave the stage out, or load its sensor"
                )

    def before_instantiate_classes(self) -> None:
        """Take the backbone from the bundle, which knows its architecture: no configuration need repeat it."""
        bundle = self.config.model.bundle
        if self.config.bundles is not None:
            backbone = fused_configuration(self.config.model.backbone, "model.backbone", "finetune")
            backbone.init_args.branches = branches_of(self.config.bundles)
            self.config.data.sensors = sensors_of(self.config.bundles, self.config.data.sensors, "data.sensors")
            self.source = "configuration with --bundles"
        if bundle is None:
            return
        manifest = read_backbone_manifest(bundle)
        require_trusted(manifest.architecture, str(bundle))
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(BEVBackbone, "backbone", required=True)
        try:
            backbone = parsed(parser, {"backbone": manifest.architecture}).backbone
        except ArgumentError as error:
            raise UserError(f"--bundle {bundle}: {readable(error)}") from error
        configured = self.config.model.backbone or backbone
        if differing := [name for name, value in backbone.items() if configured.get(name) != value]:
            status(f"model.backbone is the bundle's; the configured one differs in {', '.join(differing)}")
        self._say_what_else_it_is_shown(manifest.provenance)
        self.config.model.backbone = backbone
        self.source = f"configuration with --bundle {bundle}"

    def _say_what_else_it_is_shown(self, provenance: Mapping[str, Any]) -> None:
        """Say where a bundle is shown another number of sweeps than in its training, which costs a frozen one."""
        configuration = provenance.get("configuration")
        data = configuration.get("data") if isinstance(configuration, Mapping) else None
        if not isinstance(data, Mapping):
            return
        for key in ("lidar_sweeps", "radar_sweeps"):
            then, now = data.get(key), self.config.data[key]
            if key.partition("_")[0] in self.config.data.sensors and then not in (None, now):
                status(f"data.{key} is {now}; the bundle was trained with {then!s:.20}")

    def export(self) -> None:
        """Write the backbone as a bundle, unless it was frozen as a whole and is the one that it was.

        A branch of a fused backbone may start from it, and a fused backbone is one like any other.
        """
        if self.config.model.mode != "frozen":
            save_bundle(self.model.model.backbone, self.out / BUNDLE, self.provenance())
            status(f"{self.out / BUNDLE}: bundle of the fine-tuned backbone")


def run(arguments: Sequence[str] | Mapping[str, Any]) -> None:
    """Train heads; then score every task on ``data.eval_split``."""
    cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, arguments)
    with cli.folder_held():
        cli.fit()
        cli.say_what_there_is()
        if cli.trainer.is_global_zero:
            cli.export()
        if cli.config.evaluate:
            if (maps := cli.kept_maps(training=False)) is not None:
                maps.of_split(cli.datamodule.eval_split)
            score(cli)
