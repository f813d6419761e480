"""One file of some moments: arrays one after the other, to be memory-mapped, and a JSON file that says where they lie.

The JSON file is written last: without it there is no shard. Types and numbers of axes are not read but known, so that
nothing in a shard from anywhere can be more than numbers.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from avjepa.data.arrays import Array
from avjepa.data.moment import BadInput
from avjepa.data.sensor_inputs import Sensor
from avjepa.errors import BadFileError, UserError
from avjepa.files import read_json, replacing, require_regular, write_json

_ALIGNMENT = 64
SENSORS = ("lidar", "radar")
ARRAYS: dict[str, tuple[str, int]] = {
    "moments": ("<i8", 1),  # their numbers in the data set, ascending
    "global_from_level": ("<f8", 3),
    **{f"{name}_points": ("<f4", 2) for name in SENSORS},
    **{f"{name}_sweeps": ("<i8", 2) for name in SENSORS},  # channel, offset, first row, end of rows
    **{f"{name}_first": ("<i8", 1) for name in SENSORS},  # of each moment, its first sweep; one more at the end
    "images": ("|u1", 4),
    "image_channels": ("<i8", 1),
    "intrinsics": ("<f4", 3),
    "bev_from_camera": ("<f4", 3),
    "images_first": ("<i8", 1),
}
"""Type and number of axes of every array that a shard may hold."""


@dataclass(frozen=True)
class Shard:
    """What a file holds; the arrays are memory-mapped."""

    arrays: Mapping[str, Array]
    bad: tuple[tuple[int, BadInput], ...]
    """Sensor files that could not be read, with the number of their moment."""


def shard_path(folder: Path, number: int) -> Path:
    """The file of arrays of a shard."""
    return folder / f"shard-{number:05d}.bin"


def write_shard(path: Path, arrays: Mapping[str, Array], bad: Sequence[tuple[int, BadInput]]) -> None:
    """Write a shard. Raises ``OSError`` that names the file."""
    path.with_suffix(".json").unlink(missing_ok=True)
    digest = hashlib.sha256()
    layout: dict[str, dict[str, Any]] = {}
    offset = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        for name, values in arrays.items():
            array = np.ascontiguousarray(values, ARRAYS[name][0])
            layout[name] = {"shape": list(array.shape), "offset": offset}
            for part in (array.reshape(-1).view(np.uint8).data, bytes(-array.nbytes % _ALIGNMENT)):
                digest.update(part)
                file.write(part)
            offset += array.nbytes + -array.nbytes % _ALIGNMENT
    content = {"sha256": digest.hexdigest(), "arrays": layout, "bad": [_bad_row(*one) for one in bad]}
    write_json(path.with_suffix(".json"), content, indent=None)


def is_whole(path: Path) -> bool:
    """Whether a shard is there and holds what was written."""
    try:
        content = read_json(path.with_suffix(".json"))
        read_shard(path)
        with path.open("rb") as file:
            return bool(hashlib.file_digest(file, "sha256").hexdigest() == content["sha256"])
    except (UserError, OSError, ValueError, TypeError, KeyError):
        return False


def read_shard(path: Path) -> Shard:
    """Map a shard.

    Raises:
        UserError: it is not there, or is not what ``write_shard`` writes.
    """
    try:
        content = read_json(path.with_suffix(".json"))
        require_regular(path)
        size = path.stat().st_size
        arrays, end = {}, 0
        for name, place in content["arrays"].items():
            dtype, axes = ARRAYS[name]
            shape, offset = [_natural(length) for length in place["shape"]], _natural(place["offset"])
            if len(shape) != axes or offset % _ALIGNMENT or offset + math.prod(shape) * np.dtype(dtype).itemsize > size:
                raise ValueError(f"array {name!r} does not lie within the file")
            length = math.prod(shape) * np.dtype(dtype).itemsize
            end = max(end, offset + length + -length % _ALIGNMENT)
            arrays[name] = np.memmap(path, dtype, "r", offset, tuple(shape)) if length else np.zeros(shape, dtype)
        if end != size:
            raise ValueError(f"{size} bytes, {end} are needed")
        bad = tuple(_bad_input(one) for one in content["bad"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise damaged(path, error) from None
    return Shard(arrays, bad)


def damaged(path: Path, reason: object) -> UserError:
    """The error for a shard that does not hold what it should."""
    return UserError(f"{path}: is damaged ({reason}); run the same 'avjepa pack' command again, which mends it")


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(f"{str(value)[:50]!r} is no size")
    return value


def _bad_row(moment: int, bad: BadInput) -> list[Any]:
    return [moment, bad.sensor, bad.channel, bad.offset, bad.error.path, bad.error.problem]


def _bad_input(row: Any) -> tuple[int, BadInput]:
    moment, sensor, channel, offset, path, problem = row
    if sensor not in get_args(Sensor) or not isinstance(offset, int) or not isinstance(moment, int):
        raise ValueError("its list of bad files holds something else")
    return moment, BadInput(sensor, str(channel), offset, BadFileError(str(path), str(problem)))
