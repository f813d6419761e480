"""Are keyframes and sensors as close in time as training takes them to be?"""

from itertools import pairwise

import numpy as np

from avjepa.data.inspection.check import Check, per_cent, share
from avjepa.data.inspection.observed import Observed
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sensor_inputs import recorded_sensors

_SLOW, _QUICK = 2.0, 0.05  # seconds between keyframes
_GAP = 3.0  # times the usual step
_LACKING = 0.2  # share of keyframes without a sensor
_LATE = 0.2  # seconds


def timing_check(dataset: DrivingDataset, observed: Observed | None) -> Check:
    """Seconds between keyframes, keyframes that lack a sensor, and ages of points."""
    keyframes = dataset.moments(keyframes_only=True)
    time = np.array([dataset.time_of(moment) for moment in keyframes.tolist()], np.float64)
    scene = [dataset.scene_of(moment) for moment in keyframes.tolist()]
    within = np.array([one == next_ for one, next_ in pairwise(scene)], bool)
    steps = np.diff(time)[within] * 1e-6 if len(time) else np.zeros(0)
    said, verdicts = [], []
    if len(steps):
        median = float(np.median(steps))
        gaps = int((steps > _GAP * median).sum())
        said.append(
            f"keyframes are {median:.3g} s apart (median), at most {steps.max():.3g} s, with {gaps} gaps of more than "
            f"{_GAP:g} times the median"
        )
        if median > _SLOW or median < _QUICK:
            verdicts.append(
                f"keyframes are {median:.3g} s apart: times are in microseconds; check their unit, or how densely the "
                "data set is annotated (tracks and velocities need 0.05 to 2 s)"
            )
        elif gaps > 0.05 * len(steps):
            verdicts.append(f"{gaps} gaps between keyframes: cut a scene in two where the recording stopped")
    for sensor in recorded_sensors(dataset.channels, dataset.recorded_channels):
        lacking = share(~dataset.recorded(sensor)[keyframes])
        said.append(f"{per_cent(lacking)} of the keyframes lack {sensor}")
        if lacking > _LACKING:
            verdicts.append(
                f"{per_cent(lacking)} of the keyframes lack {sensor}: their files are further off in time than "
                "the reader looks, or were not recorded"
            )
    for title, lags in _lags(observed).items():
        worst = float(np.median(lags))
        said.append(f"{title} points are {worst:.3f} s off the keyframe's time at most (median)")
        if worst > _LATE:
            verdicts.append(
                f"{title} points are {worst:.2f} s off the keyframe's time: moving objects are not where their boxes "
                "are; check times and clocks of the sensor"
            )
    return Check("times", "; ".join(said) or "no keyframe", tuple(verdicts))


def _lags(observed: Observed | None) -> dict[str, list[float]]:
    if observed is None:
        return {}
    lags = {"LiDAR": [cloud.lag for cloud in observed.clouds], "radar": list(observed.radar_lags)}
    return {title: own for title, own in lags.items() if own}
