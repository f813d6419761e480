"""An index cache may come with the data: nothing in it is believed unchecked."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from avjepa.data import cache
from avjepa.data.cache import Cached, cached
from avjepa.data.nuscenes.index import DatasetIndex

from .conftest import VERSION


def flipped(content: bytes, place: float) -> bytes:
    changed = bytearray(content)
    changed[int(place * (len(content) - 1))] ^= 1
    return bytes(changed)


DAMAGES = {
    "half": lambda content: content[: len(content) // 2],
    "junk": lambda content: b"\xff" * 64,
    "empty": lambda content: b"",
    "nine bytes": lambda content: content[:9],
    "longer": lambda content: content + bytes(64),
    **{f"a bit at {place}": lambda content, place=place: flipped(content, place) for place in (0, 0.01, 0.3, 0.6, 1)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("large", [0, 1 << 24])
def test_damaged_cache_is_rebuilt(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage, large: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(cache, "_LARGE", large)
    before = DatasetIndex.open(copy, VERSION).fingerprint()
    file = copy / VERSION / ".avjepa-index"
    good = file.read_bytes()
    state = file.stat()
    file.write_bytes(damage(good))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as of an archive that keeps the times
    assert DatasetIndex.open(copy, VERSION).fingerprint() == before
    assert file.read_bytes() == good


@pytest.mark.parametrize("name", ["/etc/passwd", "samples/../../../etc/passwd", ".."])
def test_cache_with_a_file_outside_of_the_data_root_is_rebuilt(copy: Path, name: str) -> None:
    """The checksum is no proof: whoever forges a cache can compute it."""
    index = DatasetIndex.open(copy, VERSION)
    files = [index.file(record) for record in range(len(index.record_timestamp))]
    path = copy / VERSION / ".avjepa-index"
    header, _ = json.JSONDecoder().raw_decode(path.read_bytes()[40:].decode("latin-1"))
    key = header["key"]
    contents = cache._read(path, key, lambda contents: None)
    arrays = {name: array.copy() for name, array in contents.arrays.items()}
    start = len(arrays["file_bytes"])
    arrays["file_bytes"] = np.concatenate((arrays["file_bytes"], np.frombuffer(name.encode(), np.uint8)))
    arrays["record_file_start"][3], arrays["record_file_end"][3] = start, start + len(name)
    cache._write(path, key, Cached(arrays, contents.info))
    forged = path.read_bytes()
    again = DatasetIndex.open(copy, VERSION)
    assert [again.file(record) for record in range(len(files))] == files
    assert path.read_bytes() != forged


def test_large_cache_is_read_whole_once_per_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(cache, "_LARGE", 0)
    checks: list[int] = []

    def use() -> int:
        contents = cached(tmp_path, "numbers", [], build, lambda contents: checks.append(1))
        return int(contents.arrays["numbers"][1])

    def build() -> Cached:
        return Cached({"numbers": np.array([1, 2])}, {})

    assert use() == use() == 2
    assert checks == []  # written by this user
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another user"))
    assert use() == use() == 2
    assert checks == [1]


def test_full_disk_leaves_no_cache_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, key: str, contents: Cached) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    contents = cached(tmp_path, "one", [], lambda: Cached({"v": np.array([7])}, {"a": 1}))
    assert contents.arrays["v"].tolist() == [7]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("remarks", [[[1]], [["table", "token", "problem"]], [["table", "token", "problem", "no"]]])
def test_cache_with_problems_that_are_none_is_rebuilt(copy: Path, remarks: list) -> None:
    fingerprint = DatasetIndex.open(copy, VERSION).fingerprint()
    path = copy / VERSION / ".avjepa-index"
    header, _ = json.JSONDecoder().raw_decode(path.read_bytes()[40:].decode("latin-1"))
    contents = cache._read(path, header["key"], lambda contents: None)
    arrays = {name: array.copy() for name, array in contents.arrays.items()}
    cache._write(path, header["key"], Cached(arrays, contents.info, remarks))
    again = DatasetIndex.open(copy, VERSION)
    assert again.problems == []
    assert again.fingerprint() == fingerprint
