"""Trainings of a network that is small enough for tests of what happens around it."""

from pathlib import Path

import yaml

from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN
from tests.commands.test_training import VERSION, avjepa


def small(command: str, data: Path, out: Path, *more: object) -> int:
    """``avjepa pretrain`` or ``finetune`` with a small LiDAR network, logging every step; its exit code."""
    config = out.parent / f"{command}.yaml"
    if not config.is_file():
        config.write_text(yaml.safe_dump({"pretrain": PRETRAIN, "finetune": FINETUNE}[command]))
    source = ("--config", config, "--data", data, "--version", VERSION, "--out", out)
    quick = ("--trainer.log_every_n_steps", 1, *(("--evaluate", "false") if command == "finetune" else ()))
    return avjepa(command, *source, *quick, *more)
