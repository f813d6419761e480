"""From which score on detections of a class are worth acting on."""

from dataclasses import dataclass

import numpy as np

from avjepa.evaluate.comparing.detection import DetectionScenes
from avjepa.evaluate.detection.fast import DISTANCES, ERROR_DISTANCE, MatchedPredictions


@dataclass(frozen=True)
class Threshold:
    """The score of a class from which on the harmonic mean of precision and recall is best.

    Attributes:
        score: detections with this score or more count.
        precision: of those, within 2 m.
        recall: of those.
    """

    score: float
    precision: float
    recall: float


def best_thresholds(scenes: DetectionScenes, matches: MatchedPredictions) -> dict[str, Threshold]:
    """The threshold of each class of which an annotated box is found, measured on these scenes."""
    result = {}
    for index in scenes.compared:
        own = matches.of_class(index)
        hit = matches.found[DISTANCES.index(ERROR_DISTANCE), own] >= 0
        boxes = int((scenes.truth.boxes.class_index == index).sum())
        if not hit.any():
            continue
        score, true = matches.predicted.score[own], np.cumsum(hit)
        last_of_equal = np.append(score[1:] != score[:-1], True)
        f1 = np.where(last_of_equal, 2 * true / (np.arange(1, len(hit) + 1) + boxes), 0.0)
        best = int(f1.argmax())
        found = int(true[best])
        result[scenes.taxonomy.classes[index]] = Threshold(float(score[best]), found / (best + 1), found / boxes)
    return result
