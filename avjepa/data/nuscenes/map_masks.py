"""The map masks of the tables: ``map.json`` names an image for every recording."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image, PngImagePlugin

from avjepa.data.cache import Cached, cached
from avjepa.data.files.images import DECODING_ERRORS
from avjepa.data.files.regular import size_of_file
from avjepa.data.map_mask import MapMask
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.records import Map, Scene
from avjepa.data.nuscenes.table_checks import leaves_root
from avjepa.data.nuscenes.tables import TableReader, stop_at_problem, table_name
from avjepa.errors import BadFileError, UserError

_KIND = "semantic_prior"
_MOST_PIXELS = 2_000_000_000  # 20 square kilometres; the largest of nuScenes has 1.2e9
_REMEDY = "restore it, or train no class that is taught from maps"


class MapMasks:
    """The masks by scene, each read when it is asked for.

    Args:
        index: of the data set.
    """

    def __init__(self, index: DatasetIndex) -> None:
        self._index = index
        self._masks: dict[str, MapMask] = {}

    def of_scene(self, scene: str) -> MapMask:
        """The mask of the place where a scene was recorded.

        Raises:
            UserError: the tables name none, or its file is missing or no image.
        """
        name = self._files.get(scene)
        table = table_name(self._index.folder, Map.table)
        if name is None:
            raise UserError(f"{table}: no map of kind {_KIND} is of the recording of scene {scene}; {_REMEDY}")
        if leaves_root(name):
            raise UserError(f"{table}: file name {name!r} leaves the data root; {_REMEDY}")
        if name not in self._masks:
            self._masks[name] = self._read(name)
        return self._masks[name]

    def lacking(self, scenes: Sequence[str]) -> list[str]:
        """Those of some scenes that have no mask, as far as can be said without reading it."""
        try:
            names = {scene: self._files.get(scene) for scene in scenes}
        except UserError:
            return list(scenes)
        root = self._index.dataroot
        return [scene for scene, name in names.items() if name is None or not _is_file(root, name)]

    @cached_property
    def _files(self) -> dict[str, str]:
        """File of the mask by scene."""
        if not (self._index.folder / f"{Map.table}.json").is_file():
            return {}
        reader = TableReader(self._index.folder, stop_at_problem)
        of_log = {
            log: record.filename
            for record in reader.records(Map)
            if record.category == _KIND
            for log in record.log_tokens
        }
        scenes = {scene.name: scene.log_token for scene in reader.records(Scene)}
        return {scene: of_log[log] for scene, log in scenes.items() if log in of_log}

    def _read(self, name: str) -> MapMask:
        path = self._index.dataroot / name

        def build() -> Cached:
            mask = _decoded(path)
            return Cached({"changes": mask.changes}, {"rows": mask.rows, "columns": mask.columns})

        try:
            size_of_file(path)
            contents = cached(self._index.folder, f"map-{crc32(name.encode()):08x}", [path], build, _check)
        except BadFileError as error:
            raise UserError(f"{path}: {error.problem}; {_REMEDY}") from None
        return MapMask(contents.info["rows"], contents.info["columns"], contents.arrays["changes"])


def _is_file(root: Path, name: str) -> bool:
    return not leaves_root(name) and (root / name).is_file()


def _decoded(path: Path) -> MapMask:
    """The mask in an image file.

    Raises:
        BadFileError: it is no PNG, or of more pixels than a map has.
    """
    try:
        # not Image.open: its limit is of photographs, and changing it would change it for everyone
        with PngImagePlugin.PngImageFile(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise BadFileError(path, f"{image.width} x {image.height} pixels, which no map has")
            return MapMask.of_image(image)
    except (*DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise BadFileError(path, f"the map mask cannot be decoded ({error})") from None


def _check(contents: Cached) -> None:
    """Raise ``ValueError`` for contents that are no mask."""
    changes, pixels = contents.arrays["changes"], contents.info["rows"] * contents.info["columns"]
    if changes.dtype != np.int64 or changes.ndim != 1 or (np.diff(changes) <= 0).any():
        raise ValueError("the changes of the mask do not ascend")
    if len(changes) and not 0 <= changes[0] <= changes[-1] < pixels:
        raise ValueError("a change lies outside of the mask")
