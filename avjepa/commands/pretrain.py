"""``avjepa pretrain``."""

from collections.abc import Sequence

from lightning import Callback
from lightning.pytorch.cli import LightningArgumentParser

from avjepa.commands.training import TrainingCLI
from avjepa.data.datamodule import PretrainDataModule
from avjepa.pretrain.callbacks import CollapseMonitor
from avjepa.pretrain.export import export_backbone
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS

BUNDLE = "backbone"
"""Folder of the backbone bundle below the run's folder."""


class PretrainCLI(TrainingCLI):
    """Adds the collapse diagnostics to every run; a configured monitor takes the place of the default one."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the command beside those of trainer, model and data."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--export", type=str, default="encoder", help="which encoder becomes the bundle: encoder or target.teacher"
        )

    def callbacks(self) -> list[Callback]:
        """Diagnostics, online probe and the alarm."""
        configured = self.config_init.trainer.callbacks or []
        return [] if any(isinstance(callback, CollapseMonitor) for callback in configured) else [CollapseMonitor()]


def run(arguments: Sequence[str]) -> None:
    """Pre-train an encoder and write it as a backbone bundle."""
    cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
    cli.fit()
    if cli.trainer.is_global_zero:
        checkpoint = cli.out / CHECKPOINTS / LAST
        manifest = export_backbone(checkpoint, cli.out / BUNDLE, cli.provenance(), cli.config.export)
        print(f"{cli.out / BUNDLE}: {manifest.parameters} parameters in {manifest.tensors} tensors")
