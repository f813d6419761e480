"""The nuScenes detection metrics on whole arrays: the devkit's numbers without its tables or its ten classes."""

import numpy as np

from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.curves import Curves
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.matching import matched
from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.evaluate.detection.scores import ERRORS, DetectionScores

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""A prediction finds a box whose centre is nearer than this (m, in the ground plane)."""
ERROR_DISTANCE = 2.0
"""The one of ``DISTANCES`` at which the errors of true positives are taken."""
MAXIMUM_BOXES = 500
"""That a sample may have in a result file."""


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
        predicted = self.truth.region.inside(result.arranged(self.truth.sample_tokens, MAXIMUM_BOXES))
        aps, errors = {}, {}
        for index, name in enumerate(self.taxonomy.classes):
            truth = self.truth.boxes.selected(self.truth.boxes.class_index == index)
            of_class = predicted.selected(predicted.class_index == index)
            # descending by score; of equal scores the later box comes first, as in the devkit
            ordered = of_class.selected(np.argsort(of_class.score, kind="stable")[::-1])
            curves = {
                distance: Curves.of_matches(ordered, truth, match, name in self.taxonomy.half_turn)
                for distance, match in zip(DISTANCES, matched(ordered, truth, np.array(DISTANCES)), strict=True)
            }
            aps[name] = {
                f"{distance:g}": 0.0 if curve is None else curve.average_precision()
                for distance, curve in curves.items()
            }
            errors[name] = {error: self._error(curves[ERROR_DISTANCE], name, error) for error in ERRORS}
        return DetectionScores.of_classes(aps, errors)

    def _error(self, curves: Curves | None, name: str, error: str) -> float:
        if name in self._undefined.get(error, ()):
            return float("nan")
        return 1.0 if curves is None else curves.mean_error(error)
