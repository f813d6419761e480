"""``avjepa pretrain``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback
from lightning.pytorch.cli import LightningArgumentParser

from avjepa.bundle.manifest import Manifest
from avjepa.commands.branch_bundles import fused_configuration, loaded_branches_of, loaded_encoder, sensors_of
from avjepa.commands.sensors import require_read
from avjepa.commands.training import BUNDLE, TrainingCLI
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.missing_sensor import LOADED, TARGET_LOADED
from avjepa.errors import UserError, counted
from avjepa.pretrain.batchnorm_recompute import recompute_batchnorm
from avjepa.pretrain.export import encoder_architectures, export_backbone
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.pretrain.monitoring.collapse_monitor import CollapseMonitor
from avjepa.pretrain.objectives.targets import TargetEncoder
from avjepa.progress import with_bar
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS

CALIBRATION_BATCHES = 50
"""Batches of whole inputs from which a bundle's batch normalisations take their statistics."""


class PretrainCLI(TrainingCLI):
    """Adds the collapse diagnostics to every run; a configured monitor takes the place of the default one."""

    description = "Pre-train a sensor's encoder, or a fused one, without labels, and write it as a backbone bundle."

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the command beside those of trainer, model and data."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--init",
            type=str | None,
            default=None,
            metavar="BUNDLE",
            help="a pre-trained encoder that is to learn more, folder or zoo:NAME; slowly, so that it forgets little "
            "(model.continued)",
        )
        parser.add_argument(
            "--export", type=str, default="encoder", help="which encoder becomes the bundle: encoder or target.teacher"
        )

    def before_instantiate_classes(self) -> None:
        """Start the encoder, or the branches of a fused one, from bundles: the target that copies it starts there."""
        bundles, init = self.config.bundles, self.config.init
        if init == "":
            raise UserError("--init: is empty; give the folder of a bundle, or zoo:NAME")
        if bundles is not None and init is not None:
            raise UserError("--init is of the whole encoder and --bundles of its branches; give one of them")
        if self.config.model.continued and init is None:
            raise UserError("model.continued: says that the encoder is pre-trained already; name it with --init BUNDLE")
        if init is not None:
            configured = self.config.model.objective.init_args.get("encoder")
            self.config.model.objective.init_args.encoder = loaded_encoder(init, configured)
            self.config.model.continued, self.source = True, f"configuration with --init {init}"
        if bundles is None:
            return
        objective = self.config.model.objective.init_args
        encoder = fused_configuration(objective.get("encoder"), "model.objective.init_args.encoder", "pretrain")
        encoder.init_args.branches = loaded_branches_of(bundles)
        # the target may know more, what the LiDAR saw say: its sensors stay
        self.config.data.sensors = sensors_of(bundles, self.config.data.sensors, "data.sensors")
        self.source = "configuration with --bundles"

    def check(self, checkpoint: Path | None) -> None:
        """Also whether there is the encoder that is to be exported, and data of a sensor that it reads.

        Raises:
            UserError: there is none of that name, or none of its sensor; or see ``TrainingCLI.check``.
        """
        self.require_export("--export ")
        self.require_sensors()
        super().check(checkpoint)

    def require_export(self, option: str) -> None:
        """Raise ``UserError``, which names the option, unless there is the encoder that is to be exported."""
        if self.config.export not in (names := encoder_architectures(self.model.objective)):
            raise UserError(f"{option}{self.config.export}: there is no such encoder; choose {' or '.join(names)}")

    def require_sensors(self) -> None:
        """Raise ``UserError`` where the data show an encoder nothing that it reads."""
        objective, data = self.model.objective, self.datamodule
        if self.config.init is not None:
            reads, loaded = objective.encoder.sensors_read(), data.context.sensors()
            if lacking := [sensor for sensor in reads if sensor not in loaded]:
                raise UserError(
                    f"--init {self.config.init}: reads {', '.join(reads)}, and data.sensors loads {', '.join(loaded)}; "
                    f"add {', '.join(lacking)}, or give a bundle of what is loaded"
                )
        require_read(objective.encoder, data.context.sensors(), LOADED)
        for part in objective.modules():
            if isinstance(part, TargetEncoder):
                require_read(part.channels_of, data.target.sensors(), TARGET_LOADED)

    def callbacks(self) -> list[Callback]:
        """Diagnostics, online probe and the alarm."""
        configured = self.config_init.trainer.callbacks or []
        return [] if any(isinstance(callback, CollapseMonitor) for callback in configured) else [CollapseMonitor()]

    def export(self) -> Manifest:
        """Write the encoder of the last checkpoint as a bundle, with batch statistics of whole inputs."""

        def finish(encoder: SensorEncoder) -> None:
            encoder.to(self.trainer.strategy.root_device)
            batches = self.datamodule.context_loader(CALIBRATION_BATCHES)
            batches = with_bar(batches, "statistics of whole inputs")
            recompute_batchnorm(encoder, batches, self.trainer.precision_plugin.forward_context)

        checkpoint = self.out / CHECKPOINTS / LAST
        return export_backbone(checkpoint, self.out / BUNDLE, self.provenance(), self.config.export, finish)


def run(arguments: Sequence[str] | Mapping[str, Any]) -> None:
    """Pre-train an encoder and write it as a backbone bundle."""
    cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
    with cli.folder_held():
        cli.fit()
        cli.say_what_there_is()
        if cli.trainer.is_global_zero:
            manifest = cli.export()
            parameters, tensors = counted(manifest.parameters, "parameter"), counted(manifest.tensors, "tensor")
            print(f"{cli.out / BUNDLE}: {parameters} in {tensors}")
