"""The moment at which a resumed training has taken up its checkpoint."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from avjepa.errors import UserError
from avjepa.training.checkpoint_contents import require_fitting_optimiser


class Restored(Callback):
    """Knows whether a training has begun, so that what goes wrong before is laid to the checkpoint it began from."""

    def __init__(self) -> None:
        self.has_begun = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first step follows. Raises ``UserError`` if an optimiser's state does not fit."""
        for optimiser in trainer.optimizers:
            require_fitting_optimiser(optimiser)
        self.has_begun = True

    @contextlib.contextmanager
    def from_checkpoint(self, path: str | Path | None) -> Iterator[None]:
        """Training within the block: Lightning's errors while it restores the checkpoint become one line.

        Raises:
            UserError: the checkpoint cannot be restored.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if path is None or self.has_begun:
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"checkpoint {path}: cannot be restored ({reason}); use another one") from error
