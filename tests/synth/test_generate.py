"""The command's promises: the same bytes always, whole or not there at all, one clear line when it cannot."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.synth.dataset import generate
from avjepa.synth.dataset.generate import VERSION, split_scenes, synthesise
from tests.living import Marked, wait_until
from tests.synth.conftest import KEYFRAMES, SEED, WIDTH


def _sensor_files(root: Path, scene: str) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.glob(f"s*/*/{scene}__*"))}


def _tables(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / VERSION).iterdir()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pair") / "two"
    synthesise(root, 2, SEED, keyframes=KEYFRAMES, image_width=WIDTH, workers=2)
    return root


def test_bytes_depend_neither_on_processes_nor_on_the_number_of_scenes(dataset: Path, pair: Path) -> None:
    for scene in ("synth-0000", "synth-0001"):
        alone, parallel = _sensor_files(dataset, scene), _sensor_files(pair, scene)
        assert len(alone) == 6 * KEYFRAMES + 6 * (5 * (KEYFRAMES - 1) + 1)
        assert alone == parallel
    for table in ("sample_annotation", "calibrated_sensor", "ego_pose"):
        more, fewer = (json.loads((root / VERSION / f"{table}.json").read_text()) for root in (dataset, pair))
        assert fewer == more[: len(fewer)] and len(fewer) < len(more)


def test_a_killed_run_leaves_no_dataset_and_goes_on_to_the_same_bytes(pair: Path, tmp_path: Path) -> None:
    root = tmp_path / "killed"
    arguments = f"2, {SEED}, keyframes={KEYFRAMES}, image_width={WIDTH}, workers=1"
    code = (
        "from pathlib import Path; from avjepa.synth.dataset.generate import synthesise; "
        f"synthesise(Path({str(root)!r}), {arguments})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    first = root / ".synth" / "synth-0000.json"
    deadline = time.monotonic() + 120
    while not first.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert first.is_file() and not (root / VERSION).exists()
    kept = (root / "samples" / "LIDAR_TOP").stat().st_mtime_ns
    half = root / ".synth" / "synth-0001.part" / "samples" / "LIDAR_TOP"
    half.mkdir(parents=True, exist_ok=True)
    (half / "synth-0001__half-written.pcd.bin").write_bytes(b"half")
    synthesise(root, 2, SEED, keyframes=KEYFRAMES, image_width=WIDTH, workers=1)
    assert kept > 0 and not (root / ".synth").exists()
    assert _tables(root) == _tables(pair)
    for scene in ("synth-0000", "synth-0001"):
        assert _sensor_files(root, scene) == _sensor_files(pair, scene)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_command(tmp_path: Path, number: signal.Signals) -> None:
    marked = Marked(
        "from pathlib import Path; from avjepa.synth.dataset.generate import synthesise\n"
        f"if __name__ == '__main__': synthesise(Path({str(tmp_path / 'out')!r}), 40, workers=2)"
    )
    assert wait_until(lambda: len(list((tmp_path / "out" / ".synth").glob("*.part"))) == 2), "both workers record"
    assert len(marked.living()) >= 3
    marked.kill(number)
    assert wait_until(lambda: not marked.living(), 10), marked.living()


def test_a_finished_dataset_is_left_alone_and_other_arguments_are_refused(pair: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in pair.rglob("*")}
    synthesise(pair, 2, SEED, keyframes=KEYFRAMES, image_width=WIDTH, workers=1)
    assert {path: path.stat().st_mtime_ns for path in pair.rglob("*")} == before
    with pytest.raises(UserError, match=r"seed 11 instead of 12.*another --out"):
        synthesise(pair, 2, SEED + 1, keyframes=KEYFRAMES, image_width=WIDTH, workers=1)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not empty"):
        synthesise(tmp_path, 1, workers=1)
    with pytest.raises(UserError, match="is a file"):
        synthesise(tmp_path / "thesis.txt", 1, workers=1)


def test_a_full_disk_is_one_clear_line_and_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(UserError, match=r"No space left on device.*free some space") as caught:
        synthesise(tmp_path / "full", 1, keyframes=1, image_width=16, workers=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "full" / VERSION).exists()


def test_failing_to_write_the_tables_leaves_no_table_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        generate, "record_scene", lambda out, settings, index: generate.write_json(generate._fragment(out, index), {})
    )

    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(target))

    monkeypatch.setattr(generate.os, "replace", refuse)
    with pytest.raises(UserError, match="Read-only"):
        synthesise(tmp_path / "out", 1, workers=1)
    assert not (tmp_path / "out" / VERSION).exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"scenes": 0}, "scenes"), ({"seed": -1}, "seed"), ({"keyframes": 0}, "keyframes"),
        ({"image_width": 3}, "image_width"),
        ({"sweep_rate": 7.0}, "sweep_rate"), ({"sweep_rate": 0.0, "camera_sweeps": True}, "camera_sweeps"),
        ({"val_fraction": 0.7, "test_fraction": 0.3}, "val_fraction"), ({"workers": 0}, "workers"),
    ],
)  # fmt: skip
def test_an_impossible_argument_is_named(tmp_path: Path, options: dict[str, float], word: str) -> None:
    with pytest.raises(UserError, match=word):
        synthesise(**{"out": tmp_path / "none", "scenes": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_splits_are_disjoint_near_their_fractions_and_stable() -> None:
    hundred = split_scenes(100, 0.2, 0.1)
    names = [name for members in hundred.values() for name in members]
    assert len(names) == len(set(names)) == 100
    assert abs(len(hundred["val"]) - 20) <= 1 and abs(len(hundred["test"]) - 10) <= 1
    fifty = split_scenes(50, 0.2, 0.1)
    assert all(set(fifty[split]) <= set(hundred[split]) for split in hundred)
    assert list(split_scenes(2, 0.05, 0.0)) == ["train", "val"]
    assert all(split_scenes(2, 0.05, 0.0).values())


def test_another_seed_is_another_street_and_sweeps_are_optional(dataset: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "other", 1, SEED + 1, keyframes=2, image_width=16, sweep_rate=0.0, workers=1)
    assert not (tmp_path / "other" / "sweeps").exists()
    poses = [json.loads((root / VERSION / "ego_pose.json").read_text()) for root in (dataset, tmp_path / "other")]
    assert poses[0][0]["translation"] != poses[1][0]["translation"]


def test_cameras_record_between_the_keyframes_when_asked_to(tmp_path: Path) -> None:
    root = tmp_path / "all"
    synthesise(root, 1, keyframes=2, image_width=16, sweep_rate=4.0, camera_sweeps=True, workers=1)
    for channel in ("CAM_BACK", "LIDAR_TOP", "RADAR_FRONT"):
        assert len(list((root / "sweeps" / channel).iterdir())) == 1
