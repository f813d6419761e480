"""What the tracker takes for granted, fitted on scenes that are not evaluated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from avjepa.data.protocol import DrivingDataset
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.tracking.hota import HotaCounts, counts
from avjepa.evaluate.tracking.result_file import tracking_classes
from avjepa.evaluate.tracking.scoring import truth_of
from avjepa.evaluate.tracking.tracker import TrackerOptions
from avjepa.evaluate.tracking.tracks import Keyframes, Tracks, tracked
from avjepa.evaluate.tracking.truth import Truth
from avjepa.progress import progress_bar, with_bar

_OPTIONS: dict[str, tuple[float, ...]] = {
    "birth_score": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "lowest_score": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    "new_density": (1e-3, 3e-3, 1e-2, 3e-2),
    "velocity_sigma": (0.5, 1.0, 2.0, 4.0, 8.0),
    "gate": (3.0, 4.0, 6.0),
    "life": (2.0, 5.0, 10.0, 20.0),
}
_MOTION: dict[str, tuple[float, ...]] = {
    "position_sigma": (0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
    "speed_sigma": (1.0, 1.5, 2.0, 3.0),
    "memory": (3.0, 10.0, 30.0),
}
_TEMPERATURES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0, 5.0)
_ROUNDS = 2
_LEAST_GAIN = 2e-4
"""Of HOTA (from 0 to 1), for which a value is changed: smaller ones are chance."""
_Choice = TypeVar("_Choice")


@dataclass(frozen=True)
class TrackedSplit:
    """Boxes of a split, and what their tracks are held against."""

    file: EmbeddingFile
    keyframes: Keyframes
    classes: tuple[str, ...]
    followed: tuple[str, ...]
    truth: Truth

    @classmethod
    def of(cls, source: DrivingDataset, split: str, file: EmbeddingFile, option: str = "--split") -> "TrackedSplit":
        """The boxes of a file of a split, which an option named.

        Raises:
            UserError: the file lists other keyframes, or no annotated box of a class of the task counts.
        """
        annotated = source.annotated_keyframes(source.scenes_of(split))
        keyframes = Keyframes(annotated.tokens, annotated.time * 1e-6, annotated.scene)
        file.keyframe_among(keyframes.tokens)
        truth = truth_of(source, split, option)
        return cls(file, keyframes, source.taxonomy.classes, tracking_classes(source.taxonomy), truth)

    def tracks(self, options: TrackerOptions, with_embedding: bool, temperature: float) -> Tracks:
        """See ``tracked``."""
        return tracked(self.file, self.keyframes, self.classes, self.followed, options, with_embedding, temperature)

    def hota(self, options: TrackerOptions, temperature: float | None = None) -> float:
        """From 0 to 1, over the boxes of all classes together; by motion alone without a temperature."""
        tracks = self.tracks(options, temperature is not None, temperature or 1.0)
        numbers = [self.classes.index(name) for name in self.followed]
        sequences = (moments for number in numbers for moments in self.truth.sequences(tracks, number))
        return HotaCounts.sum(map(counts, sequences)).figures()["HOTA"]


def fitted_options(split: TrackedSplit, start: TrackerOptions) -> TrackerOptions:
    """Options at which motion alone has the highest HOTA: one after another is set to the best of some values, twice.

    Embeddings have no part in it: trackers with them and without are compared with the same options.
    """
    best, options = split.hota(start), start
    with progress_bar("fitting the tracker", _ROUNDS * (len(_OPTIONS) + len(_MOTION))) as advance:
        for _ in range(_ROUNDS):
            for name, values in _OPTIONS.items():
                allowed = (value for value in values if _allowed(options, name, value))
                changes: list[dict[str, Any]] = [{name: value} for value in allowed]
                choices = [replace(options, **change) for change in changes]
                best, options = _better(split.hota, choices, (best, options))
                advance(1)
            for name, values in _MOTION.items():
                choices = [replace(options, motion=replace(options.motion, **{name: value})) for value in values]
                best, options = _better(split.hota, choices, (best, options))
                advance(1)
    return options


def fitted_temperature(split: TrackedSplit, options: TrackerOptions, start: float) -> float:
    """The temperature of embeddings at which HOTA is highest."""

    def hota(temperature: float) -> float:
        return split.hota(options, temperature)

    return _better(hota, _TEMPERATURES, (hota(start), start))[1]


def _better(
    score: Callable[[_Choice], float], choices: Sequence[_Choice], so_far: tuple[float, _Choice]
) -> tuple[float, _Choice]:
    for choice in with_bar(choices, "fitting"):
        if choice != so_far[1] and (found := score(choice)) > so_far[0] + _LEAST_GAIN:
            so_far = found, choice
    return so_far


def _allowed(options: TrackerOptions, name: str, value: float) -> bool:
    """Whether objects are still born of boxes that are looked at."""
    lowest = value if name == "lowest_score" else options.lowest_score
    return lowest <= (value if name == "birth_score" else options.birth_score)
