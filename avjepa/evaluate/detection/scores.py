"""The figures of a detection evaluation."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from avjepa.data.nuscenes.schema import CLASSES
from avjepa.errors import UserError
from avjepa.files import write_json

ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
"""The five errors of true positives: translation (m), scale (1 - IoU), orientation (rad), velocity (m/s), attribute
(1 - accuracy)."""

_HEADINGS = ("ATE", "ASE", "AOE", "AVE", "AAE")


@dataclass(frozen=True)
class DetectionScores:
    """nuScenes detection metrics (Caesar et al. 2020, section 3.1); fractions, not per cent."""

    mean_ap: float
    """Mean over classes and matching distances."""
    nd_score: float
    """nuScenes detection score: (5 mAP + sum of max(0, 1 - mean error)) / 10."""
    class_ap: dict[str, float]
    """Mean over the matching distances."""
    class_ap_by_distance: dict[str, dict[str, float]]
    """By class and matching distance in metres."""
    mean_errors: dict[str, float]
    """``ERRORS``, mean over the classes that have them."""
    class_errors: dict[str, dict[str, float]]
    """``ERRORS`` by class; NaN where a class does not have one."""

    @classmethod
    def from_devkit(cls, metrics: Any) -> "DetectionScores":
        """Of a ``nuscenes.eval.detection.data_classes.DetectionMetrics``."""
        content = metrics.serialize()
        by_distance = {
            name: {f"{float(distance):g}": float(ap) for distance, ap in content["label_aps"][name].items()}
            for name in CLASSES
        }
        return cls(
            mean_ap=float(content["mean_ap"]),
            nd_score=float(content["nd_score"]),
            class_ap={name: float(content["mean_dist_aps"][name]) for name in CLASSES},
            class_ap_by_distance=by_distance,
            mean_errors={name: float(content["tp_errors"][name]) for name in ERRORS},
            class_errors={
                name: {error: float(content["label_tp_errors"][name][error]) for error in ERRORS} for name in CLASSES
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
            content = json.loads(path.read_text(encoding="utf-8"))
            errors = {
                name: {error: math.nan if value is None else value for error, value in of_class.items()}
                for name, of_class in content["class_errors"].items()
            }
            return cls(
                content["mean_ap"], content["nd_score"], content["class_ap"], content["class_ap_by_distance"],
                content["mean_errors"], errors,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read as scores ({error}); run avjepa evaluate again") from error

    def table(self, title: str) -> Table:
        """Scores by class, their means in the last row; AP in per cent, over all matching distances and at each."""
        table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("class")
        distances = next(iter(self.class_ap_by_distance.values()))
        for heading in ("AP", *(f"{distance} m" for distance in distances), *_HEADINGS):
            table.add_column(heading, justify="right")
        for name in CLASSES:
            aps = [self.class_ap[name], *self.class_ap_by_distance[name].values()]
            errors = [self.class_errors[name][error] for error in ERRORS]
            table.add_row(name, *(f"{100 * ap:.1f}" for ap in aps), *map(_cell, errors))
        table.add_section()
        columns = zip(*(by_distance.values() for by_distance in self.class_ap_by_distance.values()), strict=True)
        means = [sum(column) / len(CLASSES) for column in columns]
        shown = [f"{100 * value:.1f}" for value in (self.mean_ap, *means)]
        table.add_row("mean", *shown, *(_cell(self.mean_errors[error]) for error in ERRORS))
        table.caption = f"mAP {100 * self.mean_ap:.2f}   NDS {100 * self.nd_score:.2f}"
        return table


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value) if isinstance(value, Path) else value
