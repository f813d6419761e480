"""How many moments a data set has, and what was recorded at each: what is known of all scenes at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Bool, Int64

from avjepa.data.arrays import Array
from avjepa.data.cache import Cached, cached
from avjepa.data.channels import SensorChannels
from avjepa.data.recorded.records import SceneRecords
from avjepa.data.sensor_inputs import Sensor, channels_of


@dataclass(frozen=True)
class Outline:
    """Of all scenes in their order.

    Args:
        start: number of the first moment of each scene, and behind the last one the number of all moments.
        is_keyframe: which moments are keyframes.
        recorded: which moments have data of a sensor.
        channels: names of all channels, in the order in which they are met.
        digest: SHA-256 of all scenes.
    """

    start: Int64[Array, "border"]
    is_keyframe: Bool[Array, "moment"]
    recorded: Mapping[Sensor, Bool[Array, "moment"]]
    channels: tuple[str, ...]
    digest: str

    @classmethod
    def of(
        cls,
        scenes: Sequence[str],
        records_of: Callable[[str], SceneRecords],
        channels: SensorChannels,
        tolerance: float,
    ) -> "Outline":
        """Look at every scene once."""
        sensors: tuple[Sensor, ...] = get_args(Sensor)
        keyframes: list[Array] = []
        recorded: dict[Sensor, list[Array]] = {sensor: [] for sensor in sensors}
        names: dict[str, None] = {}
        digest = sha256()
        for scene in scenes:
            records = records_of(scene)
            keyframes.append(records.keyframes())
            names |= dict.fromkeys(records.channels)
            digest.update(f"{scene} {records.digest()}\n".encode())
            for sensor, found in recorded.items():
                own = [records.channels[name] for name in channels_of(sensor, channels) if name in records.channels]
                nothing = np.zeros(len(records.time), np.bool_)
                found.append(np.logical_or.reduce([nothing, *(one.near(records.time, tolerance) for one in own)]))
        counts = [len(own) for own in keyframes]
        return cls(
            start=np.cumsum([0, *counts]).astype(np.int64),
            is_keyframe=_joined(keyframes),
            recorded={sensor: _joined(found) for sensor, found in recorded.items()},
            channels=tuple(names),
            digest=digest.hexdigest(),
        )


def kept_outline(
    folder: Path,
    sources: Sequence[Path],
    scenes: Sequence[str],
    records_of: Callable[[str], SceneRecords],
    channels: SensorChannels,
    tolerance: float,
) -> Outline:
    """``Outline.of``, worked out anew only where one of the sources has changed.

    Args:
        folder: of the data set.
        sources: files and folders that the outline depends on.
        scenes: see ``Outline.of``.
        records_of: see ``Outline.of``.
        channels: see ``Outline.of``.
        tolerance: see ``Outline.of``.
    """

    def build() -> Cached:
        made = Outline.of(scenes, records_of, channels, tolerance)
        arrays: dict[str, Array] = {"start": made.start, "is_keyframe": made.is_keyframe}
        arrays |= {str(sensor): found for sensor, found in made.recorded.items()}
        return Cached(arrays, {"scenes": list(scenes), "channels": list(made.channels), "digest": made.digest})

    def check(contents: Cached) -> None:
        if contents.info["scenes"] != list(scenes) or len(contents.arrays["start"]) != len(scenes) + 1:
            raise ValueError("the scenes are others")

    contents = cached(folder, f"outline-{channels.digest()}", sources, build, check)
    sensors: tuple[Sensor, ...] = get_args(Sensor)
    return Outline(
        start=contents.arrays["start"],
        is_keyframe=contents.arrays["is_keyframe"],
        recorded={sensor: contents.arrays[sensor] for sensor in sensors},
        channels=tuple(contents.info["channels"]),
        digest=contents.info["digest"],
    )


def _joined(parts: list[Array]) -> Bool[Array, "moment"]:
    return np.concatenate([np.zeros(0, np.bool_), *parts])
