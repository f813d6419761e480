"""The small world that is spoilt: a dataset, a pre-training and a fine-tuning of one step each."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
VERSION = "v1.0-synth"
QUICK = ("--data.workers", "0", "--data.batch_size", "1", "--steps", "1")


@dataclass(frozen=True)
class World:
    """A folder that holds it all; its methods give the arguments of commands that read it.

    Args:
        root: ``data/`` (the dataset), ``packed/`` (a cache of it), ``pretrained/`` and ``finetuned/`` (runs), ``out/``
            (what the commands write).
    """

    root: Path

    @property
    def data(self) -> Path:
        """The dataset."""
        return self.root / "data"

    @property
    def tables(self) -> Path:
        """The folder of its tables."""
        return self.data / VERSION

    @property
    def pretrained(self) -> Path:
        """The run of pre-training, with its bundle in ``backbone/``."""
        return self.root / "pretrained"

    @property
    def finetuned(self) -> Path:
        """The run of fine-tuning, evaluated."""
        return self.root / "finetuned"

    @property
    def packed(self) -> Path:
        """The cache of its keyframes."""
        return self.root / "packed"

    @property
    def out(self) -> Path:
        """The folder that commands write to."""
        return self.root / "out"

    def copied(self, root: Path) -> "World":
        """The same world in another folder."""
        shutil.copytree(self.root, root)
        return World(root)

    def source(self) -> tuple[str, ...]:
        """Options that name the dataset."""
        return "--data", str(self.data), "--version", VERSION

    def synth(self) -> tuple[str, ...]:
        """Two scenes of two keyframes, one to train on and one to evaluate."""
        size = ("--scenes", "2", "--keyframes", "2", "--image_width", "64", "--sweep_rate", "4")
        return "synth", "--out", str(self.data), *size, "--val_fraction", "0.5", "--workers", "1"

    def inspect(self) -> tuple[str, ...]:
        """Every problem of the dataset, as JSON."""
        return "inspect", *self.source(), "--json", "--every_file"

    def view(self, *more: str) -> tuple[str, ...]:
        """The picture of the first keyframe."""
        return "view", *self.source(), "--out", str(self.out / "sample.png"), *more

    def pack(self) -> tuple[str, ...]:
        """What the pre-training reads of all keyframes."""
        config = str(CONFIGS / "pretrain" / "lidar_tiny.yaml")
        moments = ("--data.keyframes_only", "true", "--data.split", "null", "--workers", "1")
        return "pack", "--config", config, *self.source(), *moments, "--out", str(self.packed)

    def pretrain(self, *more: str, out: Path | None = None, config: Path | None = None) -> tuple[str, ...]:
        """One step on the LiDAR."""
        config = config or CONFIGS / "pretrain" / "lidar_tiny.yaml"
        return "pretrain", "--config", str(config), *self.source(), *QUICK, "--out", str(out or self.out), *more

    def finetune(self, *more: str, out: Path | None = None, config: Path | None = None) -> tuple[str, ...]:
        """One step on the LiDAR, then the evaluation."""
        config = config or CONFIGS / "finetune" / "lidar_tiny.yaml"
        return "finetune", "--config", str(config), *self.source(), *QUICK, "--out", str(out or self.out), *more

    def evaluate(self, *more: str) -> tuple[str, ...]:
        """Score the fine-tuned detector."""
        return "evaluate", "--run", str(self.finetuned), *self.source(), *more

    def robustness(self, *more: str) -> tuple[str, ...]:
        """Score the fine-tuned detector with its one sensor."""
        return "robustness", "--run", str(self.finetuned), *self.source(), "--subsets_only", *more

    def reid(self, *more: str) -> tuple[str, ...]:
        """Score the baselines of re-identification."""
        return "reid", "baselines", *self.source(), "--split", "val", "--out", str(self.out), *more

    def track(self, *more: str) -> tuple[str, ...]:
        """Track the boxes of a file of embeddings."""
        return "reid", "track", *self.source(), "--split", "val", "--fast", "--out", str(self.out), *more

    def study(self, config: Path) -> tuple[str, ...]:
        """A label-efficiency study; the world has no third split."""
        splits = ("--split", "val", "--eval_split", "val")
        return "label-efficiency", "--config", str(config), *self.source(), *splits, "--out", str(self.out)

    def read_table(self, name: str) -> list[dict[str, Any]]:
        """The records of a table."""
        rows: list[dict[str, Any]] = json.loads((self.tables / f"{name}.json").read_text(encoding="utf-8"))
        return rows

    def write_table(self, name: str, rows: Any) -> None:
        """Replace a table."""
        (self.tables / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")

    def files(self, pattern: str) -> list[Path]:
        """Sensor files, in a fixed order."""
        return sorted(self.data.glob(pattern))
