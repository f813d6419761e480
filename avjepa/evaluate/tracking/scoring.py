"""Scoring official files of the tracking task side by side: HOTA, and the devkit's scores where its tables allow."""

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError
from avjepa.evaluate.tracking.hota import HotaCounts, counts, counts_by_trackeval, has_trackeval
from avjepa.evaluate.tracking.result_file import read_tracks, tracking_classes
from avjepa.evaluate.tracking.truth import Truth

HOTA_FIGURES = ("HOTA", "AssA", "DetA")
"""In per cent, over the boxes of all classes together, as ``trackeval`` combines classes by detections."""
DEVKIT_FIGURES = ("AMOTA", "AMOTP", "IDS", "FRAG", "LGD", "TID", "MOTA")
"""By the devkit: AMOTA and MOTA from 0 to 1, AMOTP (m), TID and LGD (s), means over classes; IDS and FRAG,
sums of switches and of breaks."""
NEEDED = "motmetrics"
"""The package that the devkit counts tracks with."""
ALL = "all"


@dataclass(frozen=True)
class TrackingScores:
    """Of some files.

    Attributes:
        figures: by file, then by class or ``ALL``, then by name; NaN for what is not known.
        notes: what a reader has to know.
    """

    figures: Mapping[str, Mapping[str, Mapping[str, float]]]
    notes: tuple[str, ...]


def truth_of(source: DrivingDataset, split: str, option: str = "--split") -> Truth:
    """What tracks of a split, which an option named, are held against.

    Raises:
        UserError: no class of the data set is one of the task, or no annotated box counts.
    """
    truth = Truth.of(source.annotated_keyframes(source.scenes_of(split)), source.taxonomy)
    classes = [source.taxonomy.classes.index(name) for name in tracking_classes(source.taxonomy)]
    if not np.isin(truth.class_index, classes).any():
        raise UserError(
            f"{option} {split}: nothing to score: no annotated box of a tracked class counts; choose another"
        )
    return truth


def tracking_scores(
    files: Mapping[str, Path], source: DrivingDataset, split: str, truth: Truth, fast: bool = False
) -> TrackingScores:
    """The scores of official files on a split.

    HOTA counts annotated boxes with a LiDAR or radar point, in the range of their class, at the keyframes where they
    have one, and tracked boxes in the same range; the similarity of two is 1 - d / 2 m of their centres. The devkit
    counts the same boxes, but fills the gaps of both by straight lines.

    Args:
        files: by a name.
        source: the data set.
        split: that the files are of.
        truth: of the split.
        fast: leave out the devkit, which takes minutes.

    Raises:
        UserError: a file is missing or not in its format, or its samples are not those of the split.
    """
    numbers = {name: source.taxonomy.classes.index(name) for name in tracking_classes(source.taxonomy)}
    count, by = (counts_by_trackeval, "trackeval") if has_trackeval() else (counts, "avjepa, equal to trackeval")
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, path in files.items():
        tracks = read_tracks(path, source.taxonomy).arranged(truth.tokens)
        of_class = {
            kind: HotaCounts.sum(map(count, truth.sequences(tracks, number))) for kind, number in numbers.items()
        }
        known = {kind: found for kind, found in of_class.items() if (truth.class_index == numbers[kind]).any()}
        known |= {ALL: HotaCounts.sum(of_class.values())}
        figures[name] = {
            kind: {metric: 100 * value for metric, value in found.figures().items()} for kind, found in known.items()
        }
    official, note = _official(files, source, split, truth, fast)
    for name, of_file in figures.items():
        for kind, found in of_file.items():
            theirs = official.get(name, {}).get(kind, {})
            found |= {metric: theirs.get(metric.lower(), math.nan) for metric in DEVKIT_FIGURES}
    return TrackingScores(figures, (f"HOTA, AssA and DetA by {by}", note))


def _official(
    files: Mapping[str, Path], source: DrivingDataset, split: str, truth: Truth, fast: bool
) -> tuple[Mapping[str, Mapping[str, Mapping[str, float]]], str]:
    """The devkit's scores, none where it cannot, and by what or why not."""
    theirs = f"{', '.join(DEVKIT_FIGURES[:-1])} and {DEVKIT_FIGURES[-1]}"
    if fast:
        reason = "as was asked"
    elif importlib.util.find_spec(NEEDED) is None:
        reason = f"the devkit needs {NEEDED}: pip install 'avjepa[tracking]'"
    elif not (reason := source.unfit_for_devkit(split)):
        from avjepa.evaluate.detection.devkit import DevkitError  # takes seconds to load
        from avjepa.evaluate.tracking import devkit

        try:
            scenes = source.scenes_of(split)
            found = devkit.devkit_tracking_scores(files, source.dataroot, source.version, truth.tokens, scenes)
        except DevkitError as error:
            reason = f"the devkit cannot: {error}"
        else:
            return found, f"{theirs} by nuscenes-devkit {devkit.CONFIG}"
    return {}, f"without {theirs} ({reason})"
