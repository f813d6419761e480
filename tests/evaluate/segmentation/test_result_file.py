"""The result file of segmentation: whole, compact, the same for the same predictions, and believed in nothing."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avjepa.errors import UserError
from avjepa.evaluate.segmentation.result_file import entry, read_segmentations, write_segmentations
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.prediction import Segmentation

GRID = BEVGrid(0.0, 6.0, -2.0, 2.0, 1.0)
CLASSES = SegmentedClasses(objects={"vehicle": ["car"]})
TOKENS = ("a/../b", "second", "third")


def segmentation(seed: int) -> Segmentation:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 256, (2, 4, 6), generator=generator, dtype=torch.uint8)
    return Segmentation(CLASSES.names, GRID, values)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    entries = {token: json.dumps(entry(segmentation(n))).encode() for n, token in enumerate(TOKENS) if n != 1}
    write_segmentations(tmp_path / "segmentation.zip", CLASSES, entries, TOKENS, ["lidar"])
    return tmp_path / "segmentation.zip"


def test_it_holds_every_sample_in_order_and_empty_ones_too(written: Path) -> None:
    file = read_segmentations(written)
    assert (file.tokens, file.shown, file.sensors) == (TOKENS, (True, False, True), ("lidar",))
    assert (file.classes, file.grid) == (CLASSES, GRID)
    third, none, first = file.maps([TOKENS[2], TOKENS[1], TOKENS[0]])
    assert none is None and third is not None and first is not None
    assert torch.equal(third.probability, segmentation(2).probability)
    assert torch.equal(first.probability, segmentation(0).probability)


def test_the_same_predictions_are_the_same_bytes(written: Path, tmp_path: Path) -> None:
    before = written.read_bytes()
    entries = {token: json.dumps(entry(segmentation(n))).encode() for n, token in enumerate(TOKENS) if n != 1}
    write_segmentations(tmp_path / "again.zip", CLASSES, entries, TOKENS, ["lidar"])
    assert (tmp_path / "again.zip").read_bytes() == before


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_segmentations(tmp_path / "segmentation.zip", CLASSES, {"a": b"no JSON"}, ["a"], [])
    assert list(tmp_path.iterdir()) == []


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def contents(**changed: object) -> Callable[[dict[str, bytes]], None]:
    def change(parts: dict[str, bytes]) -> None:
        parts["maps.json"] = json.dumps({**json.loads(parts["maps.json"]), **changed}).encode()

    return change


SPOILT: dict[str, Callable[[dict[str, bytes]], object]] = {
    "no contents": lambda parts: parts.pop("maps.json"),
    "contents are no JSON": lambda parts: parts.update({"maps.json": b"{"}),
    "another version": contents(format_version=2),
    "grid of words": contents(grid={"x_min": "a"}),
    "grid without a number": contents(grid={"x_min": 0.0}),
    "grid of cells without end": contents(grid={"x_min": 0, "x_max": 1e6, "y_min": 0, "y_max": 1e6, "cell": 0.5}),
    "no grid": contents(grid=None),
    "a token twice": contents(tokens=["a", "a", "third"]),
    "too few said to be shown": contents(shown=[True]),
    "no class": contents(classes={"drivable_area": False, "objects": {}}),
    "another number of classes": contents(classes={"drivable_area": False, "objects": {"vehicle": []}}),
    "classes of a wrong type": contents(classes=["vehicle"]),
    "a map is missing": lambda parts: parts.pop("0.png"),
    "a map is no picture": lambda parts: parts.update({"0.png": b"\x89PNG no"}),
    "a map is too long": lambda parts: parts.update({"0.png": bytes(1 << 20)}),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_one_line(written: Path, how: str) -> None:
    rewritten(written, lambda parts: SPOILT[how](parts))
    with pytest.raises(UserError, match="not a segmentation result") as error:
        list(read_segmentations(written).maps(["a/../b", "third"]))
    assert "\n" not in str(error.value) and str(written) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "segmentation.zip").write_bytes(content)
    with pytest.raises(UserError, match="not a segmentation result"):
        read_segmentations(tmp_path / "segmentation.zip")


def test_a_missing_file_and_a_sample_of_another_split_are_one_line(written: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_segmentations(written.with_name("other.zip"))
    with pytest.raises(UserError, match="does not list sample fourth"):
        list(read_segmentations(written).maps(["fourth"]))
