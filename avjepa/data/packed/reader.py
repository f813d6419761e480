"""Moments from a cache instead of from the files of a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.files.point_fields import FIELDS
from avjepa.data.moment import Moment, SweepKey, SweepStack, all_offsets
from avjepa.data.packed.manifest import PackManifest
from avjepa.data.packed.shard import Shard, damaged, read_shard, shard_path
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sample import CameraImages
from avjepa.data.sensor_inputs import SensorInputs, SweepSelection
from avjepa.errors import UserError


class PackedMoments:
    """A ``MomentReader`` over a cache. Samples equal those from the files, to the bit.

    Args:
        folder: of the cache.
        source: the data set that it was packed of.
        inputs: what will be read.

    Raises:
        UserError: there is no whole cache, or it is of another data set, or lacks something of the inputs.
    """

    def __init__(self, folder: str | Path, source: DrivingDataset, inputs: Sequence[SensorInputs]) -> None:
        self.folder = Path(folder)
        self._source = source
        self._manifest = PackManifest.read(self.folder)
        self._manifest.require_fitting(self.folder, source, inputs)
        self._shards: dict[int, Shard] = {}

    def __getstate__(self) -> dict[str, Any]:  # another process maps the files itself
        return self.__dict__ | {"_shards": {}}

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""
        return self._manifest.channels

    def require(self, moments: Int64[Array, "moment"]) -> None:
        """Raise ``UserError`` unless the cache holds all of these moments."""
        missing = np.setdiff1d(moments, self._manifest.moments)
        if len(missing):
            name = self._source.token_of(int(missing[0]))
            raise UserError(
                f"{self.folder}: lacks {len(missing)} of {len(moments)} moments of the chosen scenes, {name} for one; "
                "pack a cache with the options of this training, or leave out --data.cache"
            )

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        """See ``MomentReader``. Raises ``UserError`` for a damaged shard."""
        place = int(np.searchsorted(self._manifest.moments, moment))
        number, row = divmod(place, self._manifest.moments_per_shard)
        shard = self._shard(number)
        lidar = [own.lidar for own in inputs if own.lidar is not None]
        radar = [own.radar for own in inputs if own.radar is not None]
        images = dict.fromkeys(own.camera for own in inputs if own.camera is not None)
        needed = {"lidar": all_offsets(lidar), "radar": all_offsets(radar), "camera": (0,) if images else ()}
        try:
            return Moment(
                token=self._source.token_of(moment),
                scene=self._source.scene_of(moment),
                timestamp=self._source.time_of(moment),
                global_from_level=_copy(shard.arrays["global_from_level"][row]),
                lidar=_sweeps(shard, row, "lidar", self.channels.lidar, lidar) if lidar else None,
                radar={radar[0].keep: _sweeps(shard, row, "radar", self.channels.radars, radar)} if radar else {},
                cameras={transform: _images(shard, row, self.channels.cameras) for transform in images},
                bad=tuple(bad for of, bad in shard.bad if of == moment and bad.offset in needed[bad.sensor]),
            )
        except (ValueError, IndexError, KeyError) as error:
            raise damaged(shard_path(self.folder, number), error) from None

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            path = shard_path(self.folder, number)
            shard, expected = read_shard(path), self._manifest.moments_of(number)
            if not np.array_equal(shard.arrays.get("moments", ()), expected):
                raise damaged(path, "it is of other moments")
            self._shards[number] = shard
        return self._shards[number]


def _sweeps(
    shard: Shard, row: int, name: str, channels: Sequence[str], selections: Sequence[SweepSelection]
) -> SweepStack:
    """The sweeps that the selections need. Raises ``ValueError``, ``IndexError``, ``KeyError`` for a bad shard."""
    points, first = shard.arrays[f"{name}_points"], shard.arrays[f"{name}_first"]
    offsets = all_offsets(selections)
    table = shard.arrays[f"{name}_sweeps"][int(first[row]) : int(first[row + 1])].tolist()
    found = {(channels[channel], offset): (start, end) for channel, offset, start, end in table if channel >= 0}
    rows: dict[SweepKey, slice] = {}
    parts = [np.zeros((0, len(FIELDS[name])), np.float32)]
    place = 0
    for key in ((channel, offset) for channel in channels for offset in offsets):
        if key in found:
            start, end = found[key]
            if not 0 <= start <= end <= len(points):
                raise ValueError("a sweep does not lie within its points")
            parts.append(points[start:end])
            rows[key] = slice(place, place + end - start)
            place += end - start
    cloud = np.concatenate(parts)
    values = cloud.reshape(-1)
    if not np.isfinite(np.dot(values, values)) and not np.isfinite(cloud).all():
        raise ValueError("a point holds NaN or infinite values")
    return SweepStack(torch.from_numpy(cloud), rows)


def _images(shard: Shard, row: int, rig: tuple[str, ...]) -> CameraImages | None:
    """The images of a moment. Raises as ``_sweeps``."""
    first, arrays = shard.arrays["images_first"], shard.arrays
    own = slice(int(first[row]), int(first[row + 1]))
    places = arrays["image_channels"][own].tolist()
    if not places:
        return None
    if any(not 0 <= place < len(rig) for place in places):
        raise ValueError("an image is of no camera")
    intrinsics, poses = arrays["intrinsics"][own], arrays["bev_from_camera"][own]
    if not np.isfinite(intrinsics).all() or not np.isfinite(poses).all():
        raise ValueError("a camera's matrix holds NaN or infinite values")
    channels = tuple(rig[place] for place in places)
    return CameraImages(_copy(arrays["images"][own]), _copy(intrinsics), _copy(poses), channels, rig)


def _copy(values: Array) -> Tensor:
    return torch.from_numpy(np.array(values))
