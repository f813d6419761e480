"""Samples from a packed cache beside the same samples from the sensor files; one thread, all in the page cache.

    python tools/benchmark/packed_cache.py                           a synthetic recording of nuScenes' sizes
    python tools/benchmark/packed_cache.py --data DIR --version V    another one

Rows: samples a second, the size on disk, and which share of its time a training waits for its data. On a disk or a
network file system that is slow to open files the cache gains more: a sample is one or two reads of it.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from comparison import Comparison, add_options, in_turn, of_rounds, report

from avjepa import cli
from avjepa.data.arrays import Array
from avjepa.data.datasets import open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.packed.packing import pack
from avjepa.data.packed.reader import PackedMoments
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.synth.dataset.generate import VERSION, synthesise
from avjepa.training.metrics import read_curves

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"
WORK = {
    "pre-training on LiDAR, 1 sweep, and 2 before and 2 after for the target": (
        SensorInputs(LidarSweeps(1)),
        SensorInputs(LidarSweeps(1, 2, 2, 3)),
    ),
    "ten LiDAR sweeps": (SensorInputs(LidarSweeps(10)),),
    "six sweeps of five radars": (SensorInputs(radar=RadarSweeps(6)),),
    "six cameras at 224×128": (SensorInputs(camera=ImageTransform(128, 224)),),
    "six cameras at 704×256": (SensorInputs(camera=ImageTransform(256, 704)),),
}


def read_from_both(
    work: str, inputs: tuple[SensorInputs, ...], source: DrivingDataset, moments: Array, cache: Path, rounds: int
) -> list[Comparison]:
    """The rows of one kind of sample: how many a second, and what a moment takes on disk."""
    pack(cache, source, inputs, moments, workers=1)
    packed = PackedMoments(cache, source, inputs)

    def read(reader: MomentReader) -> None:
        for moment in moments.tolist():
            load_samples(reader, moment, inputs)

    name = f"samples from a packed cache, {work}; the sensor files"
    times = in_turn(name, lambda: read(packed), lambda: read(source), rounds, calls=len(moments))
    sizes = [size_of_opened(lambda: read(source)), sum(path.stat().st_size for path in cache.iterdir())]
    of_files, of_cache = (size / len(moments) / 2**20 for size in sizes)
    return [
        replace(times, ours=1e3 / times.ours, peer=1e3 / times.peer, unit="samples/s"),
        of_rounds(f"a moment on disk in a packed cache, {work}; the sensor files", [(of_cache, of_files)], "MiB"),
    ]


def size_of_opened(read: Callable[[], None]) -> int:
    """Bytes of all files that are opened meanwhile, each counted once."""
    opened: set[Path] | None = set()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and opened is not None and isinstance(arguments[0], str | Path):
            opened.add(Path(arguments[0]))

    sys.addaudithook(note)  # stays for good, so what it notes has to end
    read()
    found, opened = opened, None
    return sum(path.stat().st_size for path in found)


def waiting(sensor: str, data: Path, version: str, folder: Path, steps: int) -> Comparison:
    """The share of its time that a training waits for data which it reads in its own process."""
    common = ["--config", str(CONFIGS / f"{sensor}_tiny.yaml"), "--data", str(data), "--version", version]
    common += ["--data.split", "null"]
    cache = str(folder / f"{sensor}-cache")
    run(["pack", *common, "--out", cache, "--workers", "1"])
    shares = []
    for name, more in (("cache", ["--data.cache", cache]), ("files", [])):
        out = folder / f"{sensor}-from-{name}"
        run(["pretrain", *common, *more, "--data.workers", "0", "--steps", str(steps), "--out", str(out)])
        shares.append(100 * statistics.median(read_curves(out / "metrics.csv")["data_wait_share"][1][1:]))
    work = f"waiting for data in pre-training of {sensor}_tiny without workers, from a packed cache; the sensor files"
    return of_rounds(work, [(shares[0], shares[1])], "% of the time")


def run(arguments: list[str]) -> None:
    """A command that has to succeed."""
    if cli.main(arguments) != 0:
        raise SystemExit(f"avjepa {' '.join(arguments)} failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="a dataset in nuScenes format")
    parser.add_argument("--version", default=VERSION, help="name of its folder of tables")
    parser.add_argument(
        "--steps", type=int, default=40, help="steps of the trainings; 0 for none, 20 at least to count"
    )
    add_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), options.data
        if data is None:
            data = folder / "data"
            synthesise(data, 1, keyframes=4, image_width=1600, sweep_rate=20, val_fraction=0, workers=1)
        source = open_dataset(data, options.version)
        moments = source.moments(keyframes_only=True)[1:9]
        rows = []
        for number, (work, inputs) in enumerate(WORK.items()):
            rows += read_from_both(work, inputs, source, moments, folder / f"cache-{number}", options.rounds)
        for sensor in ("lidar", "camera", "radar") if options.steps else ():
            rows.append(waiting(sensor, data, options.version, folder, options.steps))
        report(rows, options.csv)


if __name__ == "__main__":
    main()
