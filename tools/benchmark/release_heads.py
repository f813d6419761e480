"""Training heads from the kept maps of a frozen backbone, through the frozen backbone, and end to end.

python tools/benchmark/release_heads.py [--config configs/finetune/lidar_coarse.yaml] [--csv docs/results/speed.csv]

Samples a second of each, reading included: batch after batch of one training with one process and one thread, in turn.
And what the maps cost: computing them once is that many samples through the backbone, and pays from the epoch on at
which the steps have saved as much.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from comparison import Comparison, add_options, of_rounds, report

from avjepa.bundle.files import save_bundle
from avjepa.cli import main as avjepa
from avjepa.commands.finetune import FinetuneCLI
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.finetune.lightning_model import FinetuneModule

ROOT = Path(__file__).resolve().parents[2]
BATCHES = 2
"""Of every timed round."""


def training(config: Path, data: Path, bundle: Path, folder: Path, *more: str) -> Callable[[], None]:
    """``BATCHES`` optimiser steps of a training, each with the reading of its batch; every call goes on."""
    options = ["--config", str(config), "--data", str(data), "--version", "v1.0-synth", "--out", str(folder / "run")]
    options += ["--bundle", str(bundle), "--data.workers", "0", "--steps", "1000", "--data.augmentation.draws", "2"]
    cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, [*options, *more])
    maps = cli.kept_maps(training=True)
    if maps is not None:
        maps.of_training()
    cli.datamodule.setup("fit")
    network = cli.model.model.train()
    network.hold_still(cli.model.frozen)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=str(cli.config.trainer.precision) == "bf16-mixed")
    batches = _epoch_after_epoch(cli.datamodule.train_dataloader())

    def steps() -> None:
        for _ in range(BATCHES):
            batch = next(batches)
            optimiser.zero_grad(set_to_none=True)
            with mixed:
                loss = network.loss(batch).total
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 10.0)
            optimiser.step()

    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "finetune" / "lidar_coarse.yaml")
    parser.add_argument("--data", type=Path, default=None, help="a data set v1.0-synth; made where none is given")
    add_options(parser, rounds=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = options.data or folder / "data"
        if options.data is None:
            size = ("--scenes", "8", "--keyframes", "5", "--image_width", "224", "--val_fraction", "0.2")
            assert avjepa(["synth", "--out", str(data), *size]) == 0
        bundle = folder / "backbone"
        first = ["--config", str(options.config), "--data", str(data), "--version", "v1.0-synth", "--out", str(folder)]
        built = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, [*first, "--steps", "1"])
        save_bundle(built.model.model.backbone, bundle, {})
        batch_size, keyframes = built.datamodule.batch_size, _keyframes(built.datamodule)

        started = time.perf_counter()
        frozen = ("--model.mode", "frozen")
        from_maps = training(options.config, data, bundle, folder, *frozen, "--features", str(folder / "maps"))
        computing = (time.perf_counter() - started) / (2 * keyframes)  # two augmented copies
        through = training(options.config, data, bundle, folder, *frozen)
        whole = training(options.config, data, bundle, folder, "--model.mode", "end_to_end")
        rows, times = [], []
        for turn in range(options.rounds + 1):
            seconds = [_seconds(steps) / (BATCHES * batch_size) for steps in (from_maps, through, whole)]
            if turn:
                times.append(seconds)
        name = f"heads on {options.config.stem} from kept maps"
        rates = [[1 / value for value in seconds] for seconds in times]
        for column, peer in ((1, "through the frozen backbone"), (2, "end to end")):
            pairs = [(row[0], row[column]) for row in rates]
            row = of_rounds(f"{name}; {peer}", [(1 / ours, 1 / theirs) for ours, theirs in pairs], "samples/s")
            rows.append(Comparison(row.work, 1 / row.ours, 1 / row.peer, row.unit, row.ratio, row.hardware))
        report(rows, options.csv)
        saved = sorted(seconds[1] - seconds[0] for seconds in times)[len(times) // 2]
        megabytes = sum(path.stat().st_size for path in (folder / "maps").glob("*.f16")) / 2**20
        print(
            f"a map takes {1e3 * computing:.0f} ms and {megabytes / (2 * keyframes):.2f} MiB; with one copy of every "
            f"keyframe that is saved after {computing / saved:.1f} epochs"
        )


def _epoch_after_epoch(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def _seconds(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _keyframes(data: DetectionDataModule) -> int:
    data.setup("fit")
    assert data.source is not None
    return len(data.source.moments(data.train_scenes(), keyframes_only=True))


if __name__ == "__main__":
    main()
