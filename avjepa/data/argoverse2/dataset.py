"""Argoverse 2 Sensor as a ``DrivingDataset``."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float32

from avjepa.data.argoverse2.annotations import read_annotations
from avjepa.data.argoverse2.drivable import read_drivable
from avjepa.data.argoverse2.feather import arrow
from avjepa.data.argoverse2.log import LIDAR, POSES, read_log, sources_of
from avjepa.data.argoverse2.sweep import read_sweep
from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.file_moments import SensorFile
from avjepa.data.map_mask import MapMask
from avjepa.data.recorded.boxes import SceneBoxes
from avjepa.data.recorded.dataset import RecordedDataset
from avjepa.data.recorded.records import SceneRecords
from avjepa.data.splits import custom_splits
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError

CHANNELS = SensorChannels(
    lidar=(LIDAR,),
    cameras=(
        "ring_front_center", "ring_front_right", "ring_side_right", "ring_rear_right", "ring_rear_left",
        "ring_side_left", "ring_front_left",
    ),
)  # fmt: skip
"""The sensors that are read unless others are named; the stereo pair is not."""
_OPEN_MAPS = 64


class Argoverse2Dataset(RecordedDataset):
    """Logs below ``<dataroot>/<version>``.

    They lie there in the folders of their splits (``sensor/train``, ``sensor/val``, ``sensor/test``, as they are
    downloaded), or directly, as the one split of the folder's name. A ``splits.json`` in the folder names others. Every
    sweep is a keyframe, since every sweep is annotated.
    """

    @staticmethod
    def recognises(dataroot: Path, version: str) -> bool:
        """Whether there is a log in the folder, or in a folder of it."""
        folder = dataroot / version
        return any(_is_log(one) or any(map(_is_log, _folders(one))) for one in _folders(folder))

    @classmethod
    def open(cls, dataroot: Path, version: str, channels: SensorChannels, taxonomy: Taxonomy) -> "Argoverse2Dataset":
        """Find the logs.

        Raises:
            UserError: there is none, one lies in two splits, or a table of one is broken.
        """
        arrow()
        folder = dataroot / version
        found = {one.name: _folders(one) for one in _folders(folder) if any(map(_is_log, _folders(one)))}
        logs = found or {folder.resolve().name: _folders(folder)}
        folder_of = {log.name: log for own in logs.values() for log in own}
        if len(folder_of) < sum(map(len, logs.values())):
            raise UserError(f"{folder}: a log lies in two of {', '.join(logs)}; remove it from one of them")
        splits = {split: [log.name for log in own] for split, own in logs.items()} | custom_splits(folder)
        if unknown := sorted({log for own in splits.values() for log in own} - folder_of.keys()):
            raise UserError(f"{folder / 'splits.json'}: names {unknown[0]!r}, which is no log there; mend it")
        dataset = cls(dataroot, version, splits, channels, taxonomy, folder_of)
        channels.check(dataset.recorded_channels, folder, CHANNELS)
        return dataset

    def __init__(
        self,
        dataroot: Path,
        version: str,
        splits: Mapping[str, Sequence[str]],
        channels: SensorChannels,
        taxonomy: Taxonomy,
        folder_of: Mapping[str, Path],
    ) -> None:
        super().__init__(dataroot, version, splits, channels, taxonomy)
        self._folder_of = folder_of

    def open_scene(self, scene: str) -> SceneRecords:
        """See ``RecordedDataset``."""
        return read_log(self._folder_of[scene])

    def open_boxes(self, scene: str) -> SceneBoxes | None:
        """See ``RecordedDataset``."""
        return read_annotations(self._folder_of[scene], self._scene(scene))

    def sources(self, scene: str) -> list[Path]:
        """See ``RecordedDataset``."""
        return sources_of(self._folder_of[scene])

    def lidar_points(self, file: SensorFile) -> Float32[Array, "point 5"]:
        """See ``FileMoments``."""
        return read_sweep(file.path)

    def map_mask(self, scene: str) -> MapMask:
        """See ``DrivingDataset``: the drivable areas of the log's vector map."""
        return self._map(scene)

    def _cache(self) -> None:
        super()._cache()
        self._map = lru_cache(_OPEN_MAPS)(lambda scene: read_drivable(self._folder_of[scene]))


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_log(folder: Path) -> bool:
    return (folder / POSES).is_file()
