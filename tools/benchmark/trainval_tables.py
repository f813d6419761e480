"""Time the tables of a dataset as large as nuScenes trainval: makes them (seeded, no sensor files), reads them, prints.

python tools/benchmark/trainval_tables.py [--out DIR] [--keep] [--scale .1]

The tables take 4 GB under --out, by default a temporary folder, and are deleted unless --keep is given. Every step runs
in a process of its own, whose CPU time and greatest memory are printed beside the goals.
"""

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from PIL import Image
from timing import print_table

from avjepa.processes import peak_resident_bytes

VERSION = "v1.0-large"
SCENES, KEYFRAMES, RECORDS, BOXES = 850, 34_149, 2_583_424, 1_166_187
"""nuScenes trainval."""
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
RADARS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
CHANNELS = ("LIDAR_TOP", *CAMERAS, *RADARS)
START, KEYFRAME = 1_530_000_000_000_000, 500_000  # microseconds
TRACK = 18  # keyframes over which an instance is seen
ORIGIN, SPEED = (400, 1180), 8.3  # metres, metres a second: where and how fast the vehicle drives, along x
SUFFIX = {"L": "pcd.bin", "C": "jpg", "R": "pcd"}
CATEGORIES = ("vehicle.car", "human.pedestrian.adult", "movable_object.barrier", "vehicle.truck", "animal")


def shares(total: int, parts: int) -> Iterator[int]:
    """``total`` in ``parts`` whole numbers that differ by at most one."""
    return ((part + 1) * total // parts - part * total // parts for part in range(parts))


class TableFile:
    """A table that is written record by record, laid out as those of nuScenes are: a line for every value."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._separator = "[\n"

    def write(self, **values: object) -> None:
        """Append a record."""
        fields = ",\n".join(f'"{name}": {json.dumps(value, indent=0)}' for name, value in values.items())
        self._file.write(f"{self._separator}{{\n{fields}\n}}")
        self._separator = ",\n"

    def write_line(self, record: str) -> None:
        """Append a record that is formatted already, where there are millions."""
        self._file.write(self._separator)
        self._file.write(record)
        self._separator = ",\n"

    def close(self) -> None:
        """End the list."""
        self._file.write("\n]" if self._separator == ",\n" else "[]")


def make_tables(folder: Path, scale: float, seed: int) -> None:
    """Write the tables of ``scale`` times nuScenes trainval."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    scenes = max(1, round(SCENES * scale))
    keyframes = max(scenes, round(KEYFRAMES * scale))
    sweeps = shares(round(RECORDS * scale) - keyframes * len(CHANNELS), keyframes)
    boxes = shares(round(BOXES * scale), keyframes)
    with ExitStack() as stack:

        def table(name: str) -> TableFile:
            written = TableFile(stack.enter_context((folder / f"{name}.json").open("w")))
            stack.callback(written.close)
            return written

        categories = table("category")
        for number, name in enumerate(CATEGORIES):
            categories.write(token=f"category{number}", name=name, description="")
        table("attribute").write(token="attribute0", name="vehicle.moving", description="")
        visibility = table("visibility")
        for level in "1234":
            visibility.write(token=level, level=f"v{level}", description="")
        table("map").write(token="map0", log_tokens=["log0"], category="semantic_prior", filename="maps/mask.png")
        table("log").write(token="log0", logfile="drive", vehicle="v", date_captured="2018-07-24", location="town")
        sensor = table("sensor")
        for channel in CHANNELS:
            modality = {"L": "lidar", "C": "camera", "R": "radar"}[channel[0]]
            sensor.write(token=f"sensor-{channel}", channel=channel, modality=modality)
        drives = Drives(draw, table, sweeps, boxes)
        for number, length in enumerate(shares(keyframes, scenes)):
            drives.add(number, length)
    names = [f"scene-{number:04d}" for number in range(scenes)]
    parted = {"train": names[: -max(1, scenes // 6)], "val": names[-max(1, scenes // 6) :]}
    (folder.parent / "maps").mkdir(exist_ok=True)
    Image.new("L", (1, 1)).save(folder.parent / "maps" / "mask.png")  # the devkit opens it
    (folder / "splits.json").write_text(json.dumps(parted))


class Drives:
    """Scenes, and all that hangs on them."""

    def __init__(
        self, draw: random.Random, table: Callable[[str], TableFile], sweeps: Iterator[int], boxes: Iterator[int]
    ) -> None:
        self._draw, self._sweeps, self._boxes = draw, sweeps, boxes
        self._scene, self._sample, self._calibration = table("scene"), table("sample"), table("calibrated_sensor")
        self._data, self._pose = table("sample_data"), table("ego_pose")
        self._instance, self._annotation = table("instance"), table("sample_annotation")

    def add(self, number: int, length: int) -> None:
        """A scene of ``length`` keyframes."""
        samples = [self._token() for _ in range(length)]
        scene = self._token()
        self._scene.write(
            token=scene, log_token="log0", nbr_samples=length, first_sample_token=samples[0],
            last_sample_token=samples[-1], name=f"scene-{number:04d}", description="",
        )  # fmt: skip
        start = START + number * 100_000_000
        for k, (before, token, after) in enumerate(zip(["", *samples], samples, [*samples[1:], ""], strict=False)):
            self._sample.write(token=token, timestamp=start + k * KEYFRAME, prev=before, next=after, scene_token=scene)
        self._records(number, start, samples)
        self._tracks(samples)

    def _token(self) -> str:
        return f"{self._draw.getrandbits(128):032x}"

    def _records(self, number: int, start: int, samples: list[str]) -> None:
        calibrations = {channel: self._token() for channel in CHANNELS}
        for channel, token in calibrations.items():
            camera = [[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]] if channel in CAMERAS else []
            self._calibration.write(
                token=token, sensor_token=f"sensor-{channel}", translation=[0.94, 0.0, 1.84],
                rotation=[0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817],
                camera_intrinsic=camera,
            )  # fmt: skip
        times: dict[str, list[tuple[int, int, bool]]] = {channel: [] for channel in CHANNELS}
        pattern = ("LIDAR_TOP",) * 9 + CAMERAS * 5 + RADARS * 5
        for k in range(len(samples)):
            for channel in CHANNELS:
                times[channel].append((start + k * KEYFRAME, k, True))
            chosen = [pattern[place % len(pattern)] for place in range(next(self._sweeps))]
            for channel in CHANNELS:
                count = chosen.count(channel)
                times[channel] += [
                    (start + k * KEYFRAME + (place + 1) * KEYFRAME // (count + 1), k, False) for place in range(count)
                ]
        for channel, records in times.items():
            tokens = [self._token() for _ in records]
            for place, (timestamp, k, is_key) in enumerate(records):
                self._record(
                    channel, calibrations[channel], tokens[place], samples[k], timestamp, is_key,
                    tokens[place - 1] if place else "", tokens[place + 1] if place + 1 < len(tokens) else "",
                    f"n015-drive-{number:04d}", (timestamp - start) * 1e-6,
                )  # fmt: skip

    def _record(
        self, channel: str, calibration: str, token: str, sample: str, timestamp: int, is_key: bool, before: str,
        after: str, drive: str, seconds: float,
    ) -> None:  # fmt: skip
        suffix = SUFFIX[channel[0]]
        height, width = (900, 1600) if channel[0] == "C" else (0, 0)
        name = f"{'samples' if is_key else 'sweeps'}/{channel}/{drive}__{channel}__{timestamp}.{suffix}"
        self._data.write_line(
            f'{{\n"token": "{token}",\n"sample_token": "{sample}",\n"ego_pose_token": "{token}",\n'
            f'"calibrated_sensor_token": "{calibration}",\n"timestamp": {timestamp},\n"fileformat": "{suffix[:3]}",\n'
            f'"is_key_frame": {"true" if is_key else "false"},\n"height": {height},\n"width": {width},\n'
            f'"filename": "{name}",\n"prev": "{before}",\n"next": "{after}"\n}}'
        )
        tilt = self._draw.gauss(0, 0.005)
        x, y = ORIGIN[0] + SPEED * seconds, ORIGIN[1] + seconds * tilt
        self._pose.write_line(
            f'{{\n"token": "{token}",\n"timestamp": {timestamp},\n"rotation": [\n{1 - tilt * tilt / 2},\n{tilt},\n'
            f'{tilt / 2},\n0.0\n],\n"translation": [\n{x},\n{y},\n0.0\n]\n}}'
        )

    def _tracks(self, samples: list[str]) -> None:
        counts = [next(self._boxes) for _ in samples]
        for slot in range(max(counts)):
            seen = [k for k, count in enumerate(counts) if slot < count]
            for first in range(0, len(seen), TRACK):
                self._track(
                    [samples[k] for k in seen[first : first + TRACK]], slot, SPEED * seen[first] * KEYFRAME * 1e-6
                )

    def _track(self, samples: list[str], slot: int, driven: float) -> None:
        """An object that is first seen, within 50 m, when the vehicle has driven so many metres."""
        instance = self._token()
        start_x, start_y = ORIGIN[0] + driven + self._draw.uniform(-35, 35), ORIGIN[1] + self._draw.uniform(-35, 35)
        tokens = [self._token() for _ in samples]
        self._instance.write(
            token=instance, category_token=f"category{slot % len(CATEGORIES)}", nbr_annotations=len(tokens),
            first_annotation_token=tokens[0], last_annotation_token=tokens[-1],
        )  # fmt: skip
        for place, (token, sample) in enumerate(zip(tokens, samples, strict=True)):
            before = tokens[place - 1] if place else ""
            after = tokens[place + 1] if place + 1 < len(tokens) else ""
            x, y = start_x + place + self._draw.random(), start_y + self._draw.random()
            self._annotation.write_line(
                f'{{\n"token": "{token}",\n"sample_token": "{sample}",\n"instance_token": "{instance}",\n'
                f'"visibility_token": "{1 + slot % 4}",\n"attribute_tokens": [\n"attribute0"\n],\n'
                f'"translation": [\n{x:.3f},\n{y:.3f},\n0.9\n],\n"size": [\n1.9,\n4.5,\n1.6\n],\n'
                f'"rotation": [\n0.9831106536714896,\n0.0,\n0.0,\n-0.18301213795160268\n],\n"prev": "{before}",\n'
                f'"next": "{after}",\n"num_lidar_pts": {slot * 3},\n"num_radar_pts": {slot % 3}\n}}'
            )


def open_index(root: Path) -> None:
    """As every training does."""
    from avjepa.data.nuscenes.index import DatasetIndex

    DatasetIndex.open(root, VERSION)


def open_annotations(root: Path) -> None:
    """As every training with labels does."""
    from avjepa.data.nuscenes.annotations import AnnotationIndex
    from avjepa.data.nuscenes.index import DatasetIndex
    from avjepa.data.taxonomy import load_taxonomy

    AnnotationIndex.open(DatasetIndex.open(root, VERSION), load_taxonomy("nuscenes"))


def gather_ground_truth(root: Path) -> None:
    """As ``avjepa evaluate`` does for our own evaluator."""
    from avjepa.data.datasets import open_dataset
    from avjepa.evaluate.detection.ground_truth import GroundTruth

    source = open_dataset(root, VERSION)
    annotated = source.annotated_keyframes(source.scenes_of("val"))
    assert len(GroundTruth.of(annotated, source.taxonomy).boxes)


def inspect_fast(root: Path) -> None:
    """As ``avjepa inspect --fast``."""
    from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset

    report = inspect_dataset(root, VERSION, files=False)
    assert not report.problems, report.problems[:3]


def nothing(root: Path) -> None:
    """Only what the steps import."""
    from avjepa.data.nuscenes import annotations
    from avjepa.data.nuscenes.inspection import inspect_dataset
    from avjepa.evaluate.detection import ground_truth

    assert inspect_dataset and annotations and ground_truth


STEPS: tuple[tuple[str, Callable[[Path], None], str], ...] = (
    ("imports alone", nothing, ""),
    ("index, first time", open_index, "30 s, 1.5 GB"),
    ("index, again", open_index, "0.0 s"),
    ("annotations, first time", open_annotations, "15 s"),
    ("annotations, again", open_annotations, "0.0 s"),
    ("ground truth of val, for scoring", gather_ground_truth, "5 s, 1 GB"),
    ("inspect --fast", inspect_fast, "20 s"),
)
"""What is measured, and the goal for CPU time and memory, imports left out."""


def measured(
    step: Callable[[Path], None], root: Path, results: "multiprocessing.Queue[tuple[float, float, float]]"
) -> None:
    nothing(root)
    before, start = _cpu(), time.perf_counter()
    step(root)
    peak = peak_resident_bytes() / 2**30
    results.put((_cpu() - before, time.perf_counter() - start, peak))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for the tables; a temporary one by default")
    parser.add_argument("--keep", action="store_true", help="leave the tables there")
    parser.add_argument("--scale", type=float, default=1.0, help="share of nuScenes trainval's size")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = options.out or Path(tempfile.mkdtemp(prefix="avjepa-tables-"))
    if not (root / VERSION / "splits.json").is_file():  # the last that is written
        start = time.perf_counter()
        make_tables(root / VERSION, options.scale, options.seed)
        size = sum(path.stat().st_size for path in (root / VERSION).iterdir())
        print(f"{size / 1e9:.2f} GB of tables made in {time.perf_counter() - start:.0f} s: {root / VERSION}")
    for cache in (root / VERSION).glob(".avjepa-*"):
        cache.unlink()
    context = multiprocessing.get_context("spawn")
    rows = []
    try:
        for name, step, goal in STEPS:
            results = context.Queue()
            process = context.Process(target=measured, args=(step, root, results))
            process.start()
            rows.append((name, *results.get(), goal))
            process.join()
        columns = ("step", "CPU (s)", "wall (s)", "peak memory (GiB)", "goal")
        print_table(f"Tables of {options.scale:g} times nuScenes trainval", columns, rows)
    finally:
        if not options.keep:
            shutil.rmtree(root / VERSION)


if __name__ == "__main__":
    main()
