"""Packing a cache: shard after shard, in parallel processes, going on where an earlier packing ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.moment import Moment, SweepStack
from avjepa.data.packed.contents import PackedContents
from avjepa.data.packed.manifest import MANIFEST, PackManifest
from avjepa.data.packed.shard import is_whole, shard_path, write_shard
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sample import CameraImages
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import UserError
from avjepa.files import remove_leftovers
from avjepa.locking import locked
from avjepa.progress import with_bar
from avjepa.worker_pool import by_workers

SHARD_BYTES = 256 * 2**20
"""Size of a file, roughly: a killed process loses at most what one holds."""


@dataclass(frozen=True)
class _Packing:
    """What a process needs to know to write any of the files."""

    folder: Path
    source: DrivingDataset
    inputs: tuple[SensorInputs, ...]
    manifest: PackManifest
    skip_bad_files: bool

    def write(self, number: int) -> None:
        """Write a file, unless it is there and holds what was written. Raises ``BadFileError`` at a bad file."""
        path = shard_path(self.folder, number)
        if is_whole(path):
            return
        moments = self.manifest.moments_of(number)
        read: list[Moment] = []
        for moment in moments.tolist():
            read.append(self.source.read(moment, self.inputs))
            if read[-1].bad and not self.skip_bad_files:
                raise read[-1].bad[0].error
        bad = [(moment, one) for moment, own in zip(moments.tolist(), read, strict=True) for one in own.bad]
        write_shard(path, self._arrays(moments, read), bad)

    def _arrays(self, moments: Int64[Array, "moment"], read: Sequence[Moment]) -> dict[str, Array]:
        channels, contents = self.source.channels, self.manifest.contents
        arrays = {"moments": moments, "global_from_level": np.stack([one.global_from_level.numpy() for one in read])}
        if contents.lidar is not None:
            arrays |= _stacked("lidar", [one.lidar for one in read], channels.lidar)
        if contents.radar is not None:
            arrays |= _stacked("radar", [next(iter(one.radar.values())) for one in read], channels.radars)
        if contents.camera is not None:
            size = contents.camera.height, contents.camera.width
            arrays |= _images([next(iter(one.cameras.values())) for one in read], channels.cameras, size)
        return arrays


def pack(
    folder: Path,
    source: DrivingDataset,
    inputs: Sequence[SensorInputs],
    moments: Int64[Array, "moment"],
    workers: int = 2,
    skip_bad_files: bool = False,
) -> PackManifest:
    """Write what some inputs need of some moments into a folder. What lies there whole already is kept.

    Args:
        folder: new, empty, or left by an earlier packing of the same.
        source: the data set.
        inputs: of the trainings that will read the cache.
        moments: their numbers, ascending.
        workers: processes; 1 packs in the calling one.
        skip_bad_files: note bad files, for the training to skip or to stop at, instead of stopping now.

    Raises:
        UserError: the folder holds something else, or is being written; or a file is bad.
        OSError: it cannot be written to.
    """
    with locked(folder):
        remove_leftovers(folder)
        manifest = _claimed(folder, source, inputs, moments)
        packing = _Packing(folder, source, tuple(inputs), manifest, skip_bad_files)
        written = by_workers(packing.write, range(manifest.shards()), workers, "pack")
        for _ in with_bar(written, "packing shards", manifest.shards()):
            pass
    return manifest


def _claimed(
    folder: Path, source: DrivingDataset, inputs: Sequence[SensorInputs], moments: Int64[Array, "moment"]
) -> PackManifest:
    """The manifest of this cache: the one that is there, or a new one."""
    known = PackManifest.read(folder) if (folder / MANIFEST).exists() else None
    size = known.moments_per_shard if known else _moments_per_shard(source, inputs, moments)
    wanted = PackManifest(source.fingerprint(), source.channels, PackedContents.of(inputs), moments, size)
    if known is None:
        if other := sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")):
            raise UserError(f"{folder}: holds {other[0]} and no cache; choose an empty folder for --out")
        wanted.write(folder)
    elif difference := known.difference(wanted):
        raise UserError(f"{folder}: holds a cache of {difference}; choose another folder for --out, or delete this one")
    return wanted


def _moments_per_shard(source: DrivingDataset, inputs: Sequence[SensorInputs], moments: Int64[Array, "moment"]) -> int:
    """By the mean size of a few moments; between keyframes some have no images."""
    few = moments[np.linspace(0, len(moments) - 1, 9).astype(np.int64)]
    size = float(np.mean([_bytes(source.read(moment, inputs)) for moment in few.tolist()]))
    return max(1, int(SHARD_BYTES // max(size, 4096)))


def _bytes(read: Moment) -> int:
    clouds = [stack.points for stack in (read.lidar, *read.radar.values()) if stack is not None]
    images = [cameras.images for cameras in read.cameras.values() if cameras is not None]
    return sum(tensor.nbytes for tensor in (*clouds, *images))


def _stacked(name: str, stacks: Sequence[SweepStack | None], channels: Sequence[str]) -> dict[str, Array]:
    """The arrays of a sensor's points, see ``shard.ARRAYS``."""
    points, table, first = [], [], [0]
    place = 0
    for stack in stacks:
        assert stack is not None, "the sensor was asked for"
        points.append(stack.points.numpy())
        for (channel, offset), rows in stack.rows.items():
            table.append((channels.index(channel), offset, place + rows.start, place + rows.stop))
        place += len(stack.points)
        first.append(len(table))
    return {
        f"{name}_points": np.concatenate(points),
        f"{name}_sweeps": np.array(table, np.int64).reshape(-1, 4),
        f"{name}_first": np.array(first, np.int64),
    }


def _images(cameras: Sequence[CameraImages | None], rig: Sequence[str], size: tuple[int, int]) -> dict[str, Array]:
    """The arrays of the images, see ``shard.ARRAYS``."""
    some = [own for own in cameras if own is not None]
    counts = [0 if own is None else len(own.channels) for own in cameras]
    return {
        "images": np.concatenate([np.zeros((0, 3, *size), np.uint8), *(own.images.numpy() for own in some)]),
        "image_channels": np.array([rig.index(name) for own in some for name in own.channels], np.int64),
        "intrinsics": np.concatenate([np.zeros((0, 3, 3), np.float32), *(own.intrinsics.numpy() for own in some)]),
        "bev_from_camera": np.concatenate(
            [np.zeros((0, 4, 4), np.float32), *(own.bev_from_camera.numpy() for own in some)]
        ),
        "images_first": np.cumsum([0, *counts]),
    }
