"""Are the timestamps microseconds, and does every keyframe have a time of its own?"""

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.errors import counted

_SECONDS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_EPOCH = (3e8, 4.2e9)  # seconds since 1970: of the years 1979 to 2103
_INTERVAL = (1e-3, 20.0)  # seconds between two files of a sensor, of the quickest sensor of a vehicle
_FAR = 1.0  # seconds between a keyframe's time and that of its files
_LISTED = 100


def time_findings(index: DatasetIndex) -> list[Finding]:
    """Timestamps that seem to be in another unit than microseconds, or differ between the tables."""
    interval = _shortest_interval(index)
    if interval is None:
        return []
    where = f"{index.version}/sample_data.json"
    unit = _unit(float(np.median(index.record_timestamp)), interval)
    if unit != "microseconds":
        seconds = interval * 1e-6
        guess = f"they look like {unit}; multiply them by {_SECONDS[unit] * 1e6:g}" if unit else "convert them"
        problem = f"timestamps are microseconds here, which sets a sensor's files {seconds:g} s apart; {guess}"
        return [Finding(where, problem)]
    keyframes = index.record_timestamp[index.record_is_key]
    offsets = np.abs(keyframes - index.sample_timestamp[index.record_sample[index.record_is_key]]) * 1e-6
    if len(offsets) and np.median(offsets) > _FAR:
        problem = (
            f"keyframes and their files are {np.median(offsets):g} s apart (median); check the units of both tables"
        )
        return [Finding(f"{index.version}/sample.json", problem)]
    return []


def repeated_keyframes(index: DatasetIndex) -> list[Finding]:
    """Keyframes of one scene at one time: they would be trained on and scored twice."""
    same = (np.diff(index.sample_timestamp) == 0) & (np.diff(index.sample_scene) == 0)
    rows = np.flatnonzero(same)
    found = [
        Finding(
            f"{index.version}/sample.json record {index.sample_token(int(row) + 1)}",
            f"same scene and timestamp as record {index.sample_token(int(row))}; leave one of them out",
        )
        for row in rows[:_LISTED]
    ]
    if len(rows) > _LISTED:
        found.append(Finding(f"{index.version}/sample.json", counted(len(rows) - _LISTED, "more repeated keyframe")))
    return found


def _unit(time: float, interval: float) -> str:
    """The unit that makes a time one of our days, or else an interval one of a sensor; empty if none does."""
    for unit, seconds in _SECONDS.items():
        if _EPOCH[0] < time * seconds < _EPOCH[1] and interval * seconds <= _INTERVAL[1]:
            return unit
    for unit in ("microseconds", "nanoseconds", "milliseconds", "seconds"):
        if _INTERVAL[0] <= interval * _SECONDS[unit] <= _INTERVAL[1]:
            return unit
    return ""


def _shortest_interval(index: DatasetIndex) -> float | None:
    """Median time between consecutive files of the quickest channel, as stored; ``None`` where none has two."""
    medians = [
        np.median(np.concatenate(steps))
        for channel in index.channels
        if (steps := [step for scene in range(len(index.scene_names)) if len(step := _steps(index, channel, scene))])
    ]
    return float(min(medians)) if medians else None


def _steps(index: DatasetIndex, channel: str, scene: int) -> Int64[Array, "step"]:
    group = index.records(channel, scene)
    steps: Array = np.diff(index.record_timestamp[group.start : group.stop])
    return steps
