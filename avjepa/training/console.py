"""What a training run says on the screen, and what it does not."""

import logging
import sys
import warnings

from lightning.pytorch.utilities import rank_zero_only

from avjepa.files import with_final_names

NOISE = (
    ".*does not have many workers.*",
    ".*exists and is not empty.*",
    ".*srun.*command is available.*",
    ".*in eval mode at the start of training.*",
    ".*smaller than the logging interval.*",
    ".*dataloader is not resumable.*",
    ".*there is no last checkpoint available.*",
    ".*`isinstance.treespec.*",
    ".*Trying to infer the `batch_size`.*",
    ".*predict returned None if it was on purpose.*",
    ".*Grad strides do not match bucket view strides.*",  # of 1×1 kernels, where both mean the same
    ".*lr_scheduler.step.*before.*optimizer.step.*",
)
"""Warnings of Lightning and torch that state what is meant to be so, or that this package answers for itself."""


def quiet_lightning() -> None:
    """Keep off the screen what Lightning says and no user can act upon; errors and other warnings still show."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)


@rank_zero_only
def status(message: str) -> None:
    """One line to the user, on stderr of the first process."""
    print(f"avjepa: {with_final_names(message)}", file=sys.stderr, flush=True)
