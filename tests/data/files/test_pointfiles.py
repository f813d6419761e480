import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud

from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, read_lidar, read_radar, write_lidar, write_radar
from avjepa.errors import BadFileError

EVERYTHING = (range(18), range(8), range(5))  # the devkit's filters, opened wide


def radar_points(count: int) -> np.ndarray:
    random = np.random.default_rng(count)
    points = random.normal(0, 30, (count, 18)).astype(np.float32)
    points[:, [3, 10, 11, 12, 13, 14, 15, 16, 17]] = random.integers(0, 5, (count, 9))
    points[:, 4] = random.integers(-30000, 30000, count)
    return points


def test_original_radar_file_decodes_to_the_devkits_125_records(realdata: Path) -> None:
    path = next((realdata / "radar_raw").glob("*.pcd"))
    points = read_radar(path)
    assert points.shape == (125, 18)
    np.testing.assert_array_equal(points, RadarPointCloud.from_file(str(path), *EVERYTHING).points.T)


def test_writing_an_original_radar_file_gives_its_very_bytes(realdata: Path, tmp_path: Path) -> None:
    path = next((realdata / "radar_raw").glob("*.pcd"))
    write_radar(tmp_path / "again.pcd", read_radar(path))
    assert (tmp_path / "again.pcd").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("count", [1, 2, 125])
def test_devkit_reads_what_write_radar_wrote(tmp_path: Path, count: int) -> None:
    points = radar_points(count)
    write_radar(tmp_path / "radar.pcd", points)
    np.testing.assert_array_equal(RadarPointCloud.from_file(str(tmp_path / "radar.pcd"), *EVERYTHING).points.T, points)
    np.testing.assert_array_equal(read_radar(tmp_path / "radar.pcd"), points)


def test_empty_radar_cloud(tmp_path: Path) -> None:
    write_radar(tmp_path / "radar.pcd", np.zeros((0, 18), np.float32))
    assert RadarPointCloud.from_file(str(tmp_path / "radar.pcd")).points.shape == (18, 0)
    assert read_radar(tmp_path / "radar.pcd").shape == (0, 18)


def test_radar_header_is_parsed_not_assumed(tmp_path: Path) -> None:
    """Fields in another order, of other types, with a field that nuScenes does not have."""
    names = [*reversed(RADAR_FILE_FIELDS), "snr"]
    record = np.dtype([(name, "<f8" if name in ("x", "rcs") else "<u2" if name == "snr" else "<f4") for name in names])
    points = radar_points(3)
    records = np.zeros(3, record)
    for column, name in enumerate(RADAR_FILE_FIELDS):
        records[name] = points[:, column]
    sizes = " ".join(str(record[name].itemsize) for name in names)
    types = " ".join("U" if name == "snr" else "F" for name in names)
    header = (
        f"VERSION 0.7\nFIELDS {' '.join(names)}\nSIZE {sizes}\nTYPE {types}\nCOUNT {' '.join('1' for _ in names)}\n"
        "WIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA binary\n"
    )
    (tmp_path / "radar.pcd").write_bytes(header.encode() + records.tobytes())
    np.testing.assert_array_equal(read_radar(tmp_path / "radar.pcd"), points)


def test_devkit_reads_what_write_lidar_wrote(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    write_lidar(tmp_path / "cloud.pcd.bin", points)
    np.testing.assert_array_equal(LidarPointCloud.from_file(str(tmp_path / "cloud.pcd.bin")).points.T, points[:, :4])
    np.testing.assert_array_equal(read_lidar(tmp_path / "cloud.pcd.bin"), points)


def test_empty_lidar_file_is_an_empty_cloud(tmp_path: Path) -> None:
    (tmp_path / "cloud.pcd.bin").touch()
    assert read_lidar(tmp_path / "cloud.pcd.bin").shape == (0, 5)


@pytest.mark.parametrize("broken", ["missing", "truncated", "truncated within a number", "nan", "infinite", "folder"])
def test_bad_lidar_file_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "cloud.pcd.bin"
    points = np.ones((10, 5), np.float32)
    points[4, 1] = {"nan": np.nan, "infinite": np.inf}.get(broken, 1.0)
    if broken == "folder":
        path.mkdir()
    elif broken != "missing":
        write_lidar(path, points)
        cut = {"truncated": 8, "truncated within a number": 3}.get(broken, 0)
        path.write_bytes(path.read_bytes()[: 200 - cut])
    with pytest.raises(BadFileError, match=r"cloud.pcd.bin") as caught:
        read_lidar(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["missing", "truncated", "nan", "no header", "ascii", "other fields", "empty"])
def test_bad_radar_file_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "radar.pcd"
    points = radar_points(5)
    if broken == "nan":
        points[3, 0] = np.nan
    if broken != "missing":
        write_radar(path, points)
        content = path.read_bytes()
        changed = {
            "truncated": content[: content.index(b"binary\n") + 7 + 5 * 43 - 1],
            "no header": content[400:],
            "ascii": content.replace(b"DATA binary", b"DATA ascii "),
            "other fields": content.replace(b" vx_comp ", b" vx_komp "),
            "empty": b"",
        }
        path.write_bytes(changed.get(broken, content))
    with pytest.raises(BadFileError, match=r"radar.pcd"):
        read_radar(path)


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_lidar(tmp_path / "cloud.pcd.bin", np.zeros((1, 5), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_bad_file_error_survives_the_way_out_of_a_worker() -> None:
    error = pickle.loads(pickle.dumps(BadFileError("a.bin", "truncated")))
    assert (error.path, error.problem) == ("a.bin", "truncated")


@pytest.mark.parametrize("read", [read_lidar, read_radar])
def test_file_larger_than_any_memory_is_refused(tmp_path: Path, read) -> None:
    write_lidar(tmp_path / "cloud", np.ones((1, 5), np.float32))
    os.truncate(tmp_path / "cloud", 200 * 10**9)
    with pytest.raises(BadFileError, match="200,000,000,000 bytes"):
        read(tmp_path / "cloud")


@pytest.mark.parametrize("read", [read_lidar, read_radar])
def test_pipe_is_refused_and_not_waited_for(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "cloud")
    with pytest.raises(BadFileError, match="no regular file"):
        read(tmp_path / "cloud")
