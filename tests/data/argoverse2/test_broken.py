"""Logs with something wrong: one line that names the file and the remedy."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from avjepa.data.datasets import open_dataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.errors import BadFileError, UserError

LOG = "sensor/train/log-a"


def edited(path: Path, change: Callable[[dict[str, list]], object]) -> None:
    columns = pyarrow.feather.read_table(path).to_pydict()
    change(columns)
    pyarrow.feather.write_feather(pa.table(columns), str(path))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


POSES, INTRINSICS = f"{LOG}/city_SE3_egovehicle.feather", f"{LOG}/calibration/intrinsics.feather"
EXTRINSICS, BOXES = f"{LOG}/calibration/egovehicle_SE3_sensor.feather", f"{LOG}/annotations.feather"
BROKEN = {
    "no poses": (POSES, Path.unlink, "file is missing; restore the file"),
    "poses cut off": (POSES, half, "no feather file, or a damaged one"),
    "no feather": (POSES, lambda path: path.write_text("PK"), "no feather file"),
    "poses without a column": (
        POSES,
        lambda path: edited(path, lambda columns: columns.pop("qz")),
        "has no column qz; its columns are timestamp_ns, qw",
    ),
    "a pose of NaN": (
        POSES,
        lambda path: edited(path, lambda columns: columns["tx_m"].__setitem__(3, np.nan)),
        "column tx_m: holds NaN",
    ),
    "a missing value": (
        POSES,
        lambda path: edited(path, lambda columns: columns["tx_m"].__setitem__(3, None)),
        "column tx_m: 1 of",
    ),
    "times as texts": (
        POSES,
        lambda path: edited(path, lambda columns: columns.update(timestamp_ns=["x"] * len(columns["tx_m"]))),
        "column timestamp_ns: expected whole numbers, found string",
    ),
    "a rotation of length zero": (
        POSES,
        lambda path: edited(path, lambda columns: [columns[f"q{name}"].__setitem__(2, 0.0) for name in "wxyz"]),
        "its length is zero",
    ),
    "poses of another log": (
        POSES,
        lambda path: edited(path, lambda columns: columns.update(timestamp_ns=list(range(len(columns["qw"]))))),
        "has no pose of sweep at",
    ),
    "no pose at all": (
        POSES,
        lambda path: edited(path, lambda columns: [values.clear() for values in columns.values()]),
        "column timestamp_ns: expected whole numbers",
    ),
    "a camera without a calibration": (
        EXTRINSICS,
        lambda path: edited(path, lambda columns: columns["sensor_name"].__setitem__(0, "ring_other")),
        "says nothing of ring_front_center",
    ),
    "a camera without a focal length": (
        INTRINSICS,
        lambda path: edited(path, lambda columns: columns["fx_px"].__setitem__(1, 0.0)),
        "ring_front_left has no focal length",
    ),
    "a sweep with another name": (
        f"{LOG}/sensors/lidar/copy of sweep.feather",
        lambda path: path.write_bytes(b""),
        "is not named by its time",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_log_is_refused_when_it_is_opened(broken: Path, case: str) -> None:
    name, spoil, said = BROKEN[case]
    spoil(broken / name)
    with pytest.raises(UserError) as caught:
        open_dataset(broken, "sensor")
    message = str(caught.value)
    assert str(broken / name) in message and said in message and ";" in message and "\n" not in message


def test_a_log_without_sweeps_is_refused(broken: Path) -> None:
    folder = broken / LOG / "sensors" / "lidar"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"sensors/lidar: holds no sweep \(TIMESTAMP.feather\)"):
        open_dataset(broken, "sensor")


WRONG_BOXES = {
    "a box without height": (
        lambda columns: columns["height_m"].__setitem__(4, 0.0), "row 4 is no box: its sides have to be positive",
    ),
    "categories as numbers": (
        lambda columns: columns.update(category=[1] * len(columns["category"])), "column category: expected texts",
    ),
    "points in fractions": (
        lambda columns: columns.update(num_interior_pts=[0.5] * len(columns["category"])),
        "column num_interior_pts: expected whole numbers, found double",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_BOXES)
def test_broken_annotations_are_refused_by_whoever_needs_labels(broken: Path, case: str) -> None:
    change, said = WRONG_BOXES[case]
    edited(broken / BOXES, change)
    dataset = open_dataset(broken, "sensor")  # pre-training does not need them
    with pytest.raises(UserError, match=f"annotations.feather: .*{said}"):
        dataset.annotated_keyframes(["log-a"])


def test_boxes_without_a_sweep_are_left_out_and_said(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    sorted((broken / LOG / "sensors" / "lidar").iterdir())[2].unlink()
    assert len(open_dataset(broken, "sensor").annotated_keyframes(["log-a"]).boxes) == 5 * 5
    assert "5 boxes annotated at times of which there is no sweep, left out" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (half, "no feather file"),
        (Path.unlink, "the file is missing"),
        (lambda path: edited(path, lambda columns: columns.pop("intensity")), "has no column intensity"),
        (
            lambda path: edited(path, lambda columns: columns["x"].__setitem__(0, np.inf)),
            "column x: holds NaN, infinite",
        ),
    ],
)
def test_a_broken_sweep_is_a_bad_file_which_can_be_skipped(
    broken: Path, spoil: Callable[[Path], object], said: str
) -> None:
    path = sorted((broken / LOG / "sensors" / "lidar").iterdir())[1]
    dataset = open_dataset(broken, "sensor")
    spoil(path)
    moment = int(dataset.moments(["log-a"])[1])
    with pytest.raises(BadFileError, match=f"{path}: .*{said}.*on-bad-file skip"):
        load_samples(dataset, moment, (SensorInputs(lidar=LidarSweeps(2)),))
    read = dataset.read(moment, (SensorInputs(lidar=LidarSweeps(2)),))
    assert (
        [bad.offset for bad in read.bad] == [0] and read.lidar is not None and list(read.lidar.rows) == [("lidar", -1)]
    )


def test_splits_name_logs_and_each_log_is_in_one_folder(broken: Path) -> None:
    (broken / "sensor" / "splits.json").write_text('{"few": ["log-x"]}')
    with pytest.raises(UserError, match=r"splits.json: names 'log-x', which is no log there"):
        open_dataset(broken, "sensor")
    (broken / "sensor" / "splits.json").unlink()
    (broken / "sensor" / "val" / "log-c").rename(broken / "sensor" / "val" / "log-a")
    with pytest.raises(UserError, match="a log lies in two of test, train, val"):
        open_dataset(broken, "sensor")


def test_a_map_that_is_none_is_said_when_it_is_asked_for(broken: Path) -> None:
    path = next((broken / LOG / "map").iterdir())
    path.write_text('{"drivable_areas": {"1": {"area_boundary": [{"x": 1.0}]}}}')
    dataset = open_dataset(broken, "sensor")
    with pytest.raises(UserError, match="is no vector map with drivable areas"):
        dataset.map_mask("log-a")
    path.unlink()
    with pytest.raises(UserError, match=r"map: holds no vector map \(log_map_archive"):
        dataset.map_mask("log-a")


def test_without_pyarrow_the_extra_is_named(argoverse2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.ipc", None)
    with pytest.raises(UserError, match=r"pip install 'avjepa\[av2\]'"):
        open_dataset(argoverse2, "sensor")
