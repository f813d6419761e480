"""The figures of a detection evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from avjepa.errors import UserError
from avjepa.files import read_json, write_json

ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
"""The five errors of true positives: translation (m), scale (1 - IoU), orientation (rad), velocity (m/s), attribute
(1 - accuracy)."""

_AP_WEIGHT = 5
_LARGEST = 1e9
_HEADINGS = ("ATE", "ASE", "AOE", "AVE", "AAE")


@dataclass(frozen=True)
class DetectionScores:
    """nuScenes detection metrics (Caesar et al. 2020, section 3.1); fractions, not per cent."""

    mean_ap: float
    """Mean over classes and matching distances."""
    nd_score: float
    """nuScenes detection score: (5 mAP + sum of max(0, 1 - mean error)) / 10; the sum and its weight without the errors
    that no class has."""
    class_ap: dict[str, float]
    """Mean over the matching distances."""
    class_ap_by_distance: dict[str, dict[str, float]]
    """By class and matching distance in metres."""
    mean_errors: dict[str, float]
    """``ERRORS``, mean over the classes that have them; NaN where none has."""
    class_errors: dict[str, dict[str, float]]
    """``ERRORS`` by class; NaN where a class does not have one."""

    @classmethod
    def of_classes(
        cls, class_ap_by_distance: dict[str, dict[str, float]], class_errors: dict[str, dict[str, float]]
    ) -> "DetectionScores":
        """The means of what each class has; an error that no class has counts neither for nor against."""
        class_ap = {name: float(np.mean(list(aps.values()))) for name, aps in class_ap_by_distance.items()}
        mean_ap = float(np.mean(list(class_ap.values())))
        known = {error: [e[error] for e in class_errors.values() if not math.isnan(e[error])] for error in ERRORS}
        mean_errors = {error: float(np.mean(values)) if values else math.nan for error, values in known.items()}
        parts = [max(0.0, 1.0 - error) for error in mean_errors.values() if not math.isnan(error)]
        nd_score = (_AP_WEIGHT * mean_ap + sum(parts)) / (_AP_WEIGHT + len(parts))
        return cls(mean_ap, nd_score, class_ap, class_ap_by_distance, mean_errors, class_errors)

    @classmethod
    def from_devkit(cls, metrics: Any, classes: Sequence[str]) -> "DetectionScores":
        """Of a ``nuscenes.eval.detection.data_classes.DetectionMetrics``, with the classes in the order given."""
        content = metrics.serialize()
        by_distance = {
            name: {f"{float(distance):g}": float(ap) for distance, ap in content["label_aps"][name].items()}
            for name in classes
        }
        return cls(
            mean_ap=float(content["mean_ap"]),
            nd_score=float(content["nd_score"]),
            class_ap={name: float(content["mean_dist_aps"][name]) for name in classes},
            class_ap_by_distance=by_distance,
            mean_errors={name: float(content["tp_errors"][name]) for name in ERRORS},
            class_errors={
                name: {error: float(content["label_tp_errors"][name][error]) for error in ERRORS} for name in classes
            },
        )

    def save(self, path: Path, **about: Any) -> None:
        """Write JSON: the figures (null for NaN) and whatever else is to be said about them."""
        write_json(path, _plain({**about, **asdict(self)}))

    @classmethod
    def load(cls, path: Path) -> "DetectionScores":
        """Read what ``save`` wrote.

        Raises:
            UserError: the file is missing or holds no scores.
        """
        try:
            content = _Stored(read_json(path), "the file")
            by_class = {name: content.part(name) for name in ("class_ap", "class_ap_by_distance", "class_errors")}
            classes = list(by_class["class_ap"].content)
            return cls(
                mean_ap=content.number("mean_ap"),
                nd_score=content.number("nd_score"),
                class_ap={name: by_class["class_ap"].number(name) for name in classes},
                class_ap_by_distance={name: by_class["class_ap_by_distance"].part(name).numbers() for name in classes},
                mean_errors=content.part("mean_errors").numbers(ERRORS),
                class_errors={name: by_class["class_errors"].part(name).numbers(ERRORS) for name in classes},
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: cannot be read as scores ({reason}); run avjepa evaluate again") from error

    def table(self, title: str) -> Table:
        """Scores by class, their means in the last row; AP in per cent, over all matching distances and at each."""
        table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("class")
        distances = next(iter(self.class_ap_by_distance.values()))
        for heading in ("AP", *(f"{distance} m" for distance in distances), *_HEADINGS):
            table.add_column(heading, justify="right")
        for name in self.class_ap:
            aps = [self.class_ap[name], *self.class_ap_by_distance[name].values()]
            errors = [self.class_errors[name][error] for error in ERRORS]
            table.add_row(name, *(f"{100 * ap:.1f}" for ap in aps), *map(_cell, errors))
        table.add_section()
        columns = zip(*(by_distance.values() for by_distance in self.class_ap_by_distance.values()), strict=True)
        means = [sum(column) / len(self.class_ap) for column in columns]
        shown = [f"{100 * value:.1f}" for value in (self.mean_ap, *means)]
        table.add_row("mean", *shown, *(_cell(self.mean_errors[error]) for error in ERRORS))
        table.caption = f"mAP {100 * self.mean_ap:.2f}   NDS {100 * self.nd_score:.2f}"
        return table


class _Stored:
    """A part of a stored file; every question that it cannot answer is a ``ValueError`` that names the part."""

    def __init__(self, content: object, name: str) -> None:
        if not isinstance(content, dict):
            raise ValueError(f"{name} is no object")
        self.content, self.name = content, name

    def _value(self, key: str) -> object:
        if key not in self.content:
            raise ValueError(f"{self.name} lacks {key!r}")
        return self.content[key]

    def part(self, key: str) -> "_Stored":
        """The object of a key."""
        return _Stored(self._value(key), repr(key))

    def number(self, key: str) -> float:
        """The number of a key; NaN for null."""
        value = self._value(key)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
            raise ValueError(f"{key!r} of {self.name} is no number")
        return float(value)

    def numbers(self, keys: Sequence[str] | None = None) -> dict[str, float]:
        """The numbers of some keys, or of all."""
        return {key: self.number(key) for key in (self.content if keys is None else keys)}


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value) if isinstance(value, Path) else value
