"""PCD files of any encoding, held against the library that MAN TruckScenes' devkit reads them with."""

from pathlib import Path

import numpy as np
import pytest

from avjepa.data.files.pcd import is_pcd, read_header, read_points
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.errors import BadFileError
from tests.data.truckscenes.maker import pcd


def content_of(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), np.uint8)


@pytest.mark.parametrize("encoding", ["ASCII", "BINARY", "BINARY_COMPRESSED"])
@pytest.mark.parametrize("count", [40, 3000])
def test_every_encoding_is_read(tmp_path: Path, encoding: str, count: int) -> None:
    pypcd4 = pytest.importorskip("pypcd4")
    random = np.random.default_rng(1)
    place = random.normal(0, 20, (count, 3)).astype(np.float32)
    still = np.repeat(np.float32([1.5]), count)  # packs well
    time = np.arange(count, dtype=np.uint64) + 1_695_473_372_700_803
    names, types = ("x", "y", "z", "intensity", "timestamp"), (*[np.float32] * 4, np.uint64)
    cloud = pypcd4.PointCloud.from_points([*place.T, still, time], names, types)
    path = tmp_path / "cloud.pcd"
    cloud.save(path, encoding=getattr(pypcd4.Encoding, encoding))
    content = content_of(path)
    assert is_pcd(content)
    header = read_header(path, content)
    assert header.names == names and header.encoding == encoding.lower()
    points = read_points(path, content, header)
    if encoding != "ASCII":  # a double does not hold every such time
        np.testing.assert_array_equal(points["timestamp"], time)
    np.testing.assert_allclose(read_lidar(path)[:, :4], np.column_stack((place, still)), rtol=1e-5)


def test_points_without_a_place_are_left_out_and_beams_are_kept(tmp_path: Path) -> None:
    x = np.float32([1.0, np.nan, 3.0])
    columns = {"y": x, "x": x, "z": np.zeros(3, np.float32), "ring": np.uint16([4, 5, 6])}
    (tmp_path / "a.pcd").write_bytes(pcd(columns))
    np.testing.assert_array_equal(read_lidar(tmp_path / "a.pcd"), np.float32([[1, 1, 0, 0, 4], [3, 3, 0, 0, 6]]))


def broken(encoding: str) -> dict[str, bytes]:
    pypcd4 = pytest.importorskip("pypcd4")
    points = np.ones((600, 3), np.float32)
    points[:, 0] = np.random.default_rng(0).normal(0, 9, 600)
    cloud = pypcd4.PointCloud.from_xyz_points(points)
    path = Path("cloud.pcd")
    cloud.save(path, encoding=getattr(pypcd4.Encoding, encoding))
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[-20:-10] = bytes([0xE0, 0xFF] * 5)
    return {
        "cut off": content[:-40],
        "damaged": bytes(damaged),
        "header alone": content[: content.find(b"DATA ") + 30],
    }


CASES = [(encoding, case) for encoding in ("ASCII", "BINARY", "BINARY_COMPRESSED")
         for case in ("cut off", "damaged", "header alone")]  # fmt: skip
CASES.remove(("BINARY", "damaged"))  # any bytes are numbers


@pytest.mark.parametrize(("encoding", "case"), CASES)
def test_broken_files_are_said_in_one_line(
    tmp_path: Path, encoding: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.pcd"
    path.write_bytes(broken(encoding)[case])
    with pytest.raises(BadFileError, match=r"broken.pcd: .*restore the file") as caught:
        read_lidar(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"DATA binary", b"DATA zipped"), "cannot be understood"),
        ((b"WIDTH 2", b"WIDTH -2"), "says -2 x 1 points"),
        ((b"FIELDS x", b"FIELDS u"), "lists no field x"),
        ((b"COUNT 1", b"COUNT 3"), "COUNT is not 1"),
        ((b"DATA binary", b"DATA ascii"), "truncated"),
        ((b"POINTS 2\nDATA binary\n", b""), "header of a point cloud file"),
    ],
)
def test_a_header_that_is_none_is_said(tmp_path: Path, change: tuple[bytes, bytes], said: str) -> None:
    content = pcd({name: np.zeros(2, np.float32) for name in "xyz"})
    assert change[0] in content
    path = tmp_path / "a.pcd"
    path.write_bytes(content.replace(*change))
    with pytest.raises(BadFileError, match=said):
        read_lidar(path)


def test_a_radar_file_needs_the_fields_of_one_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.pcd"
    path.write_bytes(pcd({name: np.zeros(2, np.float32) for name in ("x", "y", "z", "vrel_x", "rcs")}))
    with pytest.raises(BadFileError, match="lists no radar field dyn_prop"):
        read_radar(path)
