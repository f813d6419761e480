"""Synthesise a dataset: scenes in parallel processes, resumable, whole or not there at all."""

import errno
import json
import math
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from avjepa.errors import UserError
from avjepa.files import write_json
from avjepa.processes import end_with_parent
from avjepa.progress import progress_bar
from avjepa.synth.dataset.settings import KEYFRAME_INTERVAL, Settings, scene_name
from avjepa.synth.dataset.tables import TABLE_NAMES, Tables, shared_tables
from avjepa.synth.weather.rain import LEVELS

VERSION = "v1.0-synth"
"""Name of the table folder; it exists only when the dataset is complete."""
_WORK = ".synth"
_ARGUMENTS = "synth.json"


def synthesise(
    out: Path,
    scenes: int,
    seed: int = 0,
    *,
    keyframes: int = 20,
    image_width: int = 400,
    sweep_rate: float = 10.0,
    camera_sweeps: bool = False,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    rain: int = 0,
    workers: int = 2,
) -> None:
    """Write a synthetic street world as a nuScenes dataset of version ``v1.0-synth``.

    The bytes depend on the arguments but not on ``workers``; scene i does not depend on the number of scenes. An
    interrupted run goes on where it stopped when called again with the same arguments. The tables are written last.

    Args:
        out: root of the dataset; empty, missing, or left by an earlier run with the same arguments.
        scenes: number of scenes.
        seed: of everything random.
        keyframes: per scene, at 2 Hz.
        image_width: pixels; the height is 9/16 of it.
        sweep_rate: LiDAR and radar sweeps per second, the keyframes included: an even number, or 0 for keyframes only.
        camera_sweeps: whether cameras, too, record between the keyframes.
        val_fraction: share of the scenes in the split ``val``.
        test_fraction: share of the scenes in the split ``test``; without any, the split is left out.
        rain: from 0, dry, to 3, heavy: points that are lost or false, wet lenses; the street and its traffic stay.
        workers: processes; 1 records in the calling process.

    Raises:
        UserError: an argument is out of range, ``out`` holds something else, or it cannot be written to.
    """
    settings = Settings(
        scenes, seed, keyframes, image_width, sweep_rate, camera_sweeps, val_fraction, test_fraction, rain
    )
    _check(settings, workers)
    try:
        _prepare(out, settings)
        if (out / VERSION).is_dir():
            return
        missing = [index for index in range(scenes) if not _fragment(out, index).is_file()]
        _record_all(out, settings, missing, workers)
        _finish(out, settings)
    except OSError as error:
        where = error.filename or out
        remedy = (
            "free some space and run the same command again"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another --out"
        )
        raise UserError(f"{where}: cannot be written ({error.strerror or error}); {remedy}") from error


def split_scenes(scenes: int, val_fraction: float, test_fraction: float) -> dict[str, list[str]]:
    """Scene names by split. A scene's split depends on its number alone, save one where a split would be empty."""
    position = [math.modf(0.5 + index * (math.sqrt(5) - 1) / 2)[0] for index in range(scenes)]
    val = {index for index in range(scenes) if position[index] < val_fraction}
    test = {index for index in range(scenes) if position[index] >= 1 - test_fraction}
    if val_fraction > 0 and not val and scenes > 1:
        val = {min(range(scenes), key=position.__getitem__)}
    if test_fraction > 0 and not test and scenes > 2:
        test = {max(range(scenes), key=position.__getitem__)}
    splits = {"train": [index for index in range(scenes) if index not in val | test], "val": sorted(val)}
    if test_fraction > 0:
        splits["test"] = sorted(test)
    return {name: [scene_name(index) for index in members] for name, members in splits.items()}


def _check(settings: Settings, workers: int) -> None:
    sweeps = settings.sweep_rate * KEYFRAME_INTERVAL
    problems = (
        (settings.scenes < 1, f"scenes is {settings.scenes}; ask for at least 1"),
        (settings.scenes > 9999, f"scenes is {settings.scenes}; ask for at most 9999"),
        (settings.seed < 0, f"seed is {settings.seed}; it cannot be negative"),
        (settings.keyframes < 1, f"keyframes is {settings.keyframes}; ask for at least 1 per scene"),
        (settings.image_width < 16, f"image_width is {settings.image_width}; ask for at least 16 pixels"),
        (
            sweeps < 0 or sweeps != int(sweeps) or sweeps > 10,
            f"sweep_rate is {settings.sweep_rate}; give 0 or an even number of Hz up to 20",
        ),
        (settings.camera_sweeps and sweeps < 2, "camera_sweeps needs sweeps: set sweep_rate to 4 or more"),
        (
            settings.val_fraction < 0
            or settings.test_fraction < 0
            or settings.val_fraction + settings.test_fraction >= 1,
            "val_fraction and test_fraction must not be negative and must leave scenes to train on",
        ),
        (not 0 <= settings.rain <= LEVELS, f"rain is {settings.rain}; give 0 (dry) to {LEVELS} (heavy)"),
        (workers < 1, f"workers is {workers}; ask for at least 1"),
    )
    for wrong, text in problems:
        if wrong:
            raise UserError(f"synth: {text}")


def _fragment(out: Path, index: int) -> Path:
    return out / _WORK / f"{scene_name(index)}.json"


def _prepare(out: Path, settings: Settings) -> None:
    """Claim ``out`` for these settings, or find that it already belongs to them."""
    arguments = asdict(settings)
    for holder in (out / VERSION / _ARGUMENTS, out / _WORK / _ARGUMENTS):
        if holder.is_file():
            earlier = {"rain": 0, **json.loads(holder.read_text(encoding="utf-8"))}  # older ones do not say
            different = [
                f"{name} {earlier.get(name)} instead of {value}"
                for name, value in arguments.items()
                if earlier.get(name) != value
            ]
            if different:
                raise UserError(
                    f"{out}: holds a dataset made with {', '.join(different)}; choose another --out or delete it"
                )
            return
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; choose a folder for --out")
    if out.is_dir() and any(entry.name != _WORK for entry in out.iterdir()):
        raise UserError(f"{out}: is not empty and not a synthetic dataset; choose another --out")
    write_json(out / _WORK / _ARGUMENTS, arguments)


def record_scene(out: Path, settings: Settings, index: int) -> None:
    """Record one scene beside its final place, then move its files there; its rows are written last."""
    from avjepa.synth.dataset.recording import SceneRecorder  # the ray casting library takes a second to import

    staging = out / _WORK / f"{scene_name(index)}.part"
    shutil.rmtree(staging, ignore_errors=True)
    tables = SceneRecorder(settings, index, staging).record()
    for path in sorted(staging.rglob("*")):
        final = out / path.relative_to(staging)
        if path.is_dir():
            final.mkdir(parents=True, exist_ok=True)
        else:
            path.replace(final)
    shutil.rmtree(staging)
    write_json(_fragment(out, index), tables, indent=None)


def _record_all(out: Path, settings: Settings, missing: list[int], workers: int) -> None:
    with progress_bar("scenes", settings.scenes, done=settings.scenes - len(missing)) as advance:
        if workers == 1:
            for index in missing:
                record_scene(out, settings, index)
                advance(1)
            return
        # spawned, not forked: ray casting keeps threads, which a fork would leave behind half-alive
        pool = ProcessPoolExecutor(
            min(workers, max(len(missing), 1)), multiprocessing.get_context("spawn"), initializer=end_with_parent
        )
        try:
            for future in as_completed([pool.submit(record_scene, out, settings, index) for index in missing]):
                future.result()
                advance(1)
        except BrokenProcessPool as error:
            raise UserError(
                f"{out}: a worker process died, perhaps for lack of memory; run the same command with fewer workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _finish(out: Path, settings: Settings) -> None:
    """Merge the rows of all scenes into the tables and give their folder its name."""
    tables: Tables = {name: [] for name in TABLE_NAMES} | shared_tables()
    for index in range(settings.scenes):
        for name, rows in json.loads(_fragment(out, index).read_text(encoding="utf-8")).items():
            tables[name] += rows
    staging = out / _WORK / VERSION
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    for name in TABLE_NAMES:
        write_json(staging / f"{name}.json", tables[name], indent=None)
    write_json(staging / "splits.json", split_scenes(settings.scenes, settings.val_fraction, settings.test_fraction))
    write_json(staging / _ARGUMENTS, asdict(settings))
    os.replace(staging, out / VERSION)
    shutil.rmtree(out / _WORK)
