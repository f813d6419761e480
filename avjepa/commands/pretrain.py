"""``avjepa pretrain``."""

from collections.abc import Sequence

from lightning import Callback

from avjepa.commands.training import TrainingCLI
from avjepa.data.datamodule import PretrainDataModule
from avjepa.encoders.bundle import save_bundle
from avjepa.pretrain.callbacks import CollapseMonitor
from avjepa.pretrain.lightning_model import PretrainModule

BUNDLE = "backbone"
"""Folder of the backbone bundle below the run's folder."""


class PretrainCLI(TrainingCLI):
    """Adds the collapse diagnostics to every run; a configured monitor takes the place of the default one."""

    def callbacks(self) -> list[Callback]:
        """Diagnostics, online probe and the alarm."""
        configured = self.config_init.trainer.callbacks or []
        return [] if any(isinstance(callback, CollapseMonitor) for callback in configured) else [CollapseMonitor()]


def run(arguments: Sequence[str]) -> None:
    """Pre-train an encoder and write it as a backbone bundle."""
    cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
    cli.fit()
    if cli.trainer.is_global_zero:
        manifest = save_bundle(cli.model.objective.encoder, cli.out / BUNDLE, cli.provenance())
        print(f"{cli.out / BUNDLE}: {manifest.parameters} parameters in {manifest.tensors} tensors")
