"""``avjepa finetune``."""

from collections.abc import Sequence

from lightning.pytorch.cli import LightningArgumentParser

from avjepa.commands.evaluate import score
from avjepa.commands.training import TrainingCLI
from avjepa.data.loading.datamodule import DetectionDataModule
from avjepa.finetune.lightning_model import FinetuneModule


class FinetuneCLI(TrainingCLI):
    """Adds what happens after the training."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the command beside those of trainer, model and data."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--evaluate", type=bool, default=True, help="after training, predict and score data.eval_split"
        )


def run(arguments: Sequence[str]) -> None:
    """Train a detector; then score it on the validation split."""
    cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, arguments)
    cli.fit()
    if cli.config.evaluate and cli.trainer.is_global_zero:
        score(cli.model, cli.datamodule, cli.out, cli.provenance())
