"""Do LiDAR files hold five values a point, with intensities from 0 to 255 and whole beam numbers?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avjepa.data.files.pointfiles import LARGEST_FILE, LIDAR_FILE_FIELDS, read_lidar
from avjepa.data.files.regular import size_of_file
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.errors import BadFileError

_VALUES = len(LIDAR_FILE_FIELDS)
_FEW = 0.01  # share of points that may be odd
_FILES = 20


@dataclass(frozen=True)
class CloudFacts:
    """What one LiDAR file holds."""

    points: int
    intensity: tuple[float, float]
    """Least and greatest."""
    whole_beams: bool
    """Whether the beam indices are whole numbers that are not negative."""


def cloud_facts(path: Path) -> CloudFacts:
    """Read a LiDAR file. Raises ``BadFileError`` that says so if it fits another number of values a point."""
    try:
        points = read_lidar(path)
    except BadFileError as error:
        values = fitting_values(path)
        if values is None or values == _VALUES:
            raise
        raise BadFileError(path, _other_values(values)) from error
    if not len(points):
        return CloudFacts(0, (0.0, 0.0), True)
    intensity, beam = points[:, 3], points[:, 4]
    whole = (beam >= 0) & (beam == np.floor(beam))
    return CloudFacts(len(points), (float(intensity.min()), float(intensity.max())), bool(np.mean(~whole) <= _FEW))


def cloud_findings(channel: str, paths: Sequence[Path], facts: Sequence[CloudFacts]) -> list[Finding]:
    """What is odd about the opened files of one LiDAR."""
    facts = [fact for fact in facts if fact.points]
    if not facts:
        return []
    odd = [path for path in paths[:_FILES] if (fitting_values(path) or _VALUES) != _VALUES]
    if len(odd) * 2 > len(paths[:_FILES]):
        return [Finding(channel, _other_values(fitting_values(odd[0]) or 0))]
    found = []
    if not all(fact.whole_beams for fact in facts):
        found.append(Finding(channel, "the fifth value of a point is no beam index (a whole number from 0)"))
    least, greatest = min(fact.intensity[0] for fact in facts), max(fact.intensity[1] for fact in facts)
    if least < 0 or greatest > 255:
        problem = f"intensities from {least:g} to {greatest:g}; 0 to 255 are expected: scale them"
        found.append(Finding(channel, problem))
    elif greatest <= 1:
        problem = f"intensities of at most {greatest:g}; 0 to 255 are expected" + (
            ": multiply them by 255" if greatest > 0 else ", and all are 0"
        )
        found.append(Finding(channel, problem))
    return found


def fitting_values(path: Path) -> int | None:
    """How many float32 values a point of the file has: as many as make the fourth an intensity, which is not negative.

    With another number the fourth column holds coordinates now and then. ``None`` if the size or no number fits.
    """
    try:
        size_of_file(path, at_most=LARGEST_FILE)
        values = np.fromfile(path, "<f4")
    except (BadFileError, OSError, ValueError):
        return None
    for count in (_VALUES, 4, 6, 7, 8):
        if values.nbytes != path.stat().st_size or len(values) % count or not len(values):
            continue
        points = values.reshape(-1, count)
        if (points[:, 3] >= 0).all() and (points[:, :3] < 0).any():
            return count
    return None


def _other_values(count: int) -> str:
    return f"the file seems to hold {count} values a point; {_VALUES} are needed ({', '.join(LIDAR_FILE_FIELDS)})"
