"""The nuScenes detection metrics on whole arrays: the devkit's numbers without its tables or its ten classes."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.curves import Curve, errors_of_pairs
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.matching import matched
from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.evaluate.detection.scores import ERRORS, DetectionScores

OWN_EVALUATOR = "avjepa's own evaluator"
"""How results name it."""
DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""A prediction finds a box whose centre is nearer than this (m, in the ground plane)."""
ERROR_DISTANCE = 2.0
"""The one of ``DISTANCES`` at which the errors of true positives are taken."""
MAXIMUM_BOXES = 500
"""That a sample may have in a result file."""


@dataclass(frozen=True)
class MatchedPredictions:
    """The predictions that count, and what each of them found."""

    predicted: BoxTable
    """Class by class, best first; of equal scores the later comes first, as in the devkit."""
    found: Int64[Array, "distance prediction"]
    """At each of ``DISTANCES``: index of the annotated box that a prediction found, or -1."""

    def of_class(self, index: int) -> slice:
        """Where the predictions of a class stand."""
        return slice(*np.searchsorted(self.predicted.class_index, [index, index + 1]))


class FastDetectionEval:
    """Scores result files against one split.

    Args:
        truth: the split's annotations.
        taxonomy: its classes.
    """

    def __init__(self, truth: GroundTruth, taxonomy: Taxonomy) -> None:
        self.truth, self.taxonomy = truth, taxonomy
        self._undefined = {
            "orient_err": set(taxonomy.without_heading),
            "vel_err": set(taxonomy.without_velocity),
            "attr_err": {name for name in taxonomy.classes if name not in taxonomy.attributes},
        }
        if not truth.knows_attributes:
            self._undefined["attr_err"] = set(taxonomy.classes)

    def evaluate(self, result: ResultFile) -> DetectionScores:
        """Scores of an official result file. All AP are 0 where no annotated box counts.

        Raises:
            UserError: its samples are not those of the split, or one of them has too many boxes.
        """
        matches = self.matched(result.arranged(self.truth.sample_tokens, MAXIMUM_BOXES))
        predicted, match, boxes = matches.predicted, matches.found, self.truth.boxes
        aps, errors = {}, {}
        for index, name in enumerate(self.taxonomy.classes):
            own = matches.of_class(index)
            annotated = int((boxes.class_index == index).sum())
            curves = {
                distance: Curve.of_hits(predicted.score[own], found[own] >= 0, annotated)
                for distance, found in zip(DISTANCES, match, strict=True)
                if (found[own] >= 0).any()
            }
            aps[name] = {
                f"{distance:g}": curves[distance].average_precision() if distance in curves else 0.0
                for distance in DISTANCES
            }
            found = match[DISTANCES.index(ERROR_DISTANCE), own]
            pairs = predicted.selected(own).selected(found >= 0), boxes.selected(found[found >= 0])
            errors[name] = self._errors(curves.get(ERROR_DISTANCE), *pairs, name)
        return DetectionScores.of_classes(aps, errors)

    def matched(self, boxes: BoxTable) -> MatchedPredictions:
        """Which annotated boxes predictions find.

        Args:
            boxes: predictions in the order of their file; ``boxes.sample`` counts the samples of the split.
        """
        predicted = self._ordered(boxes)
        return MatchedPredictions(predicted, matched(predicted, self.truth.boxes, np.array(DISTANCES)))

    def _ordered(self, boxes: BoxTable) -> BoxTable:
        """See ``MatchedPredictions.predicted``."""
        counts = self.truth.region.counts(boxes)
        order = []
        for index in range(len(self.taxonomy.classes)):
            (rows,) = np.nonzero(counts & (boxes.class_index == index))
            order.append(rows[np.argsort(boxes.score[rows], kind="stable")[::-1]])
        return boxes.selected(np.concatenate(order))

    def _errors(self, curve: Curve | None, predicted: BoxTable, truth: BoxTable, name: str) -> dict[str, float]:
        """The errors of a class from its true positives; 1 where it has none, NaN where a class has no such error."""
        values = errors_of_pairs(predicted, truth, name in self.taxonomy.half_turn)
        errors = {error: 1.0 if curve is None else curve.mean_error(predicted.score, values[error]) for error in ERRORS}
        return errors | {error: math.nan for error, names in self._undefined.items() if name in names}
