"""``pack.json``: which data a cache was made of, and what it holds of which moments."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.packed.contents import PackedContents
from avjepa.data.packed.shard import shard_path
from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError
from avjepa.files import read_json, write_json

MANIFEST = "pack.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class PackManifest:
    """What makes two caches the same.

    Attributes:
        data: fingerprint of the data set's tables.
        channels: which channels were read, and as what.
        contents: what of each moment.
        moments: numbers of the moments, ascending.
        moments_per_shard: so many lie in every file but the last.
    """

    data: str
    channels: SensorChannels
    contents: PackedContents
    moments: Int64[Array, "moment"]
    moments_per_shard: int

    def shards(self) -> int:
        """Number of files."""
        return -(-len(self.moments) // self.moments_per_shard)

    def moments_of(self, shard: int) -> Int64[Array, "own"]:
        """The moments of a file."""
        first = shard * self.moments_per_shard
        return self.moments[first : first + self.moments_per_shard]

    def missing_shards(self, folder: Path) -> int:
        """How many of the files are not there."""
        paths = (shard_path(folder, number) for number in range(self.shards()))
        return sum(not (path.is_file() and path.with_suffix(".json").is_file()) for path in paths)

    def difference(self, other: "PackManifest") -> str | None:
        """In what two caches differ, in words; how many moments lie in a file does not count."""
        if self.data != other.data:
            return "other data"
        if self.channels != other.channels:
            return "other channels"
        if self.contents != other.contents:
            return "other sweeps, sensors or images"
        return None if np.array_equal(self.moments, other.moments) else "other moments"

    def write(self, folder: Path) -> None:
        """Write ``pack.json``."""
        content = {
            "format_version": FORMAT_VERSION, "data": self.data, "channels": asdict(self.channels),
            "contents": self.contents.as_json(), "moments_per_shard": self.moments_per_shard,
            "moments": self.moments.tolist(),
        }  # fmt: skip
        write_json(folder / MANIFEST, content, indent=None)

    @classmethod
    def read(cls, folder: Path) -> "PackManifest":
        """Read ``pack.json``. Raises ``UserError`` where it is not there or does not describe a cache."""
        path = folder / MANIFEST
        try:
            return _parsed(read_json(path))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make a cache in {folder} with 'avjepa pack'") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, UserError) as error:
            raise UserError(
                f"{path}: does not describe a cache of moments ({' '.join(str(error).split())[:200]}); "
                "delete the folder and pack again"
            ) from None

    def require_fitting(self, folder: Path, source: DrivingDataset, inputs: Sequence[Any]) -> None:
        """Raise unless the cache is whole, of this data set, and holds what some inputs need.

        Raises:
            UserError: naming the folder, what does not fit, and what to do.
        """
        remedy = "pack another one with the --config of this training, or leave out --data.cache"
        if self.data != source.fingerprint():
            raise UserError(f"{folder}: was packed of another data set than {source.name} is now; {remedy}")
        if self.channels != source.channels:
            raise UserError(f"{folder}: was packed with other channels than data.channels names; {remedy}")
        for own in inputs:
            if lacking := self.contents.lacking(own):
                raise UserError(f"{folder}: holds no {lacking}; {remedy}")
        if missing := self.missing_shards(folder):
            raise UserError(
                f"{folder}: {missing} of {self.shards()} shards are missing; run the same 'avjepa pack' command again"
            )


def _parsed(content: Any) -> PackManifest:
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format version {content['format_version']!r}, {FORMAT_VERSION} can be read")
    numbers = content["moments"]
    if not isinstance(numbers, list) or not numbers or not all(type(number) is int for number in numbers):
        raise ValueError("'moments' is no list of numbers")
    moments = np.array(numbers, np.int64)
    if moments[0] < 0 or (np.diff(moments) <= 0).any():
        raise ValueError("'moments' do not ascend")
    size = content["moments_per_shard"]
    if type(size) is not int or size < 1 or not isinstance(content["data"], str):
        raise ValueError("'moments_per_shard' is no positive number, or 'data' no text")
    kinds = {kind: tuple(map(str, names)) for kind, names in content["channels"].items()}
    contents = PackedContents.from_json(content["contents"])
    return PackManifest(content["data"], SensorChannels(**kinds), contents, moments, size)
