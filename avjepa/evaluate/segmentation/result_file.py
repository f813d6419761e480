"""Result files of BEV segmentation: a ZIP of grey pictures.

``maps.json`` says what the classes are made of, the grid, the sensors and every sample in order; ``N.png`` is the map
of sample N, the classes below each other and the first row of each at the lowest y, white where a class is certain. A
sample without a picture has an empty prediction. Anyone may have written such a file, so every part is checked before
it is used.
"""

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from avjepa.data.files.images import DECODING_ERRORS
from avjepa.errors import UserError
from avjepa.files import replacing, require_regular
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.prediction import Segmentation

FILE_NAME = "segmentation.zip"
_CONTENTS = "maps.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same predictions are the same bytes
_MOST_CONTENTS = 1 << 28  # bytes
_MOST_CELLS = 1 << 26
_ERRORS = (OSError, ValueError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, EOFError)


def entry(segmentation: Segmentation) -> dict[str, Any]:
    """What the file holds of one sample, as plain values."""
    stacked = segmentation.probability.cpu().flatten(0, 1).numpy()
    picture = io.BytesIO()
    Image.fromarray(stacked).save(picture, "PNG")
    return {
        "grid": asdict(segmentation.grid),
        "png": base64.b64encode(picture.getvalue()).decode(),
    }


def write_segmentations(
    path: Path, classes: SegmentedClasses, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]
) -> None:
    """Write a result file, sample by sample; arguments as of ``PredictionWriter.write``."""
    grid, shown = None, []
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for number, token in enumerate(tokens):
            shown.append(token in entries)
            if token in entries:
                content = json.loads(entries[token])
                grid = content["grid"]
                archive.writestr(zipfile.ZipInfo(f"{number}.png", _LONG_AGO), base64.b64decode(content["png"]))
        contents = {
            "format_version": 1, "classes": asdict(classes), "grid": grid, "sensors": list(sensors),
            "tokens": list(tokens), "shown": shown,
        }  # fmt: skip
        archive.writestr(zipfile.ZipInfo(_CONTENTS, _LONG_AGO), json.dumps(contents), zipfile.ZIP_DEFLATED)


class _Contents(msgspec.Struct):
    format_version: int
    classes: SegmentedClasses
    grid: dict[str, float] | None
    sensors: tuple[str, ...]
    tokens: tuple[str, ...]
    shown: tuple[bool, ...]


@dataclass(frozen=True)
class SegmentationFile:
    """A result file whose contents were read; its maps are read one by one.

    Attributes:
        path: of the file.
        classes: of its maps, in the order of their names.
        grid: of its maps; ``None`` where no sample has one.
        sensors: of ``lidar``, ``camera``, ``radar``: what the predictions were made from, as far as the file says.
        tokens: of all samples, in the order of the file.
        shown: which of them have a map.
    """

    path: Path
    classes: SegmentedClasses
    grid: BEVGrid | None
    sensors: tuple[str, ...]
    tokens: tuple[str, ...]
    shown: tuple[bool, ...]

    def maps(self, tokens: Sequence[str]) -> Iterator[Segmentation | None]:
        """The maps of some samples in turn; ``None`` for an empty prediction.

        Raises:
            UserError: the file does not list a sample, or its map is missing or damaged.
        """
        number_of = {token: number for number, token in enumerate(self.tokens)}
        with _opened(self.path) as archive:
            for token in tokens:
                if token not in number_of:
                    problem = f"does not list sample {token}"
                    raise UserError(f"{self.path}: {problem}; choose a sample of the split that was predicted")
                number = number_of[token]
                yield self._map(archive, number) if self.shown[number] else None

    def _map(self, archive: zipfile.ZipFile, number: int) -> Segmentation:
        assert self.grid is not None
        name, (rows, columns), classes = f"{number}.png", self.grid.shape, len(self.classes.names)
        try:
            content = _content(archive, name, 2 * classes * rows * columns + 65_536)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                if picture.size != (columns, classes * rows) or picture.mode != "L":
                    raise ValueError(f"{picture.size} pixels of mode {picture.mode} are not those of the grid")
                values = np.array(picture)
        except (*_ERRORS, *DECODING_ERRORS, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise _damaged(self.path, f"{name}: {error}") from None
        return Segmentation(self.classes.names, self.grid, torch.from_numpy(values).view(classes, rows, columns))


def read_segmentations(path: Path) -> SegmentationFile:
    """Read and check what a result file says of itself.

    Raises:
        UserError: there is no such file, or it is not of this format.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; predict the split first")
    with _opened(path) as archive:
        try:
            contents = msgspec.json.decode(_content(archive, _CONTENTS, _MOST_CONTENTS), type=_Contents)
            return _checked(path, contents)
        except (*_ERRORS, UserError, TypeError, RecursionError) as error:
            raise _damaged(path, f"{_CONTENTS}: {error}") from None


def _checked(path: Path, contents: _Contents) -> SegmentationFile:
    if contents.format_version != 1:
        raise ValueError(f"format version {contents.format_version}, 1 can be read")
    if len(set(contents.tokens)) < len(contents.tokens) or len(contents.tokens) != len(contents.shown):
        raise ValueError("a sample is listed twice, or one is not said to have a map or none")
    grid = None if contents.grid is None else BEVGrid(**contents.grid)
    if any(contents.shown) and grid is None:
        raise ValueError("there are maps, but no grid")
    if grid is not None and len(contents.classes.names) * grid.shape[0] * grid.shape[1] > _MOST_CELLS:
        raise ValueError("the grid has more cells than any map")
    return SegmentationFile(path, contents.classes, grid, contents.sensors, contents.tokens, contents.shown)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        require_regular(path)
        return zipfile.ZipFile(path)
    except _ERRORS as error:
        raise _damaged(path, str(error)) from None


def _content(archive: zipfile.ZipFile, name: str, at_most: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > at_most:
        raise ValueError(f"{size:,} bytes; at most {at_most:,} can be right")
    return archive.read(name)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: not a segmentation result ({' '.join(reason.split())[:200]}); predict the split again")
