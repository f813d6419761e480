"""Boxes that a model found, in the place of labels: what a student learns on scenes that nobody annotated."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from avjepa.data.labels import BoxQueriesOf, Labels


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of scenes from boxes with scores (self-training: "Pseudo-Label", Lee 2013; for boxes STAC, 2005.04757).

    Attributes:
        boxes: gives those of a keyframe.
        scenes: whose keyframes all have some, or are known to have none.
        least: score of a class, by its index, from which on a box is taken for true.
        otherwise: that of every other class.
        digest: of the file that they are from.
    """

    boxes: BoxQueriesOf
    scenes: frozenset[str]
    least: Mapping[int, float]
    otherwise: float
    digest: str

    def labels(self, moment: int) -> Labels:
        """The boxes of a keyframe that are sure enough; of no track, with unknown numbers of points."""
        found = self.boxes(moment)
        least = torch.tensor([self.least.get(int(index), self.otherwise) for index in found.class_index])
        sure = found.scores >= least.to(found.scores.dtype)
        count = int(sure.sum())
        unknown, on_no_track = torch.full((count,), -1), torch.full((count,), -1)
        return Labels(
            found.boxes[sure], found.class_index[sure], unknown, unknown, torch.zeros(count, dtype=torch.int64),
            on_no_track,
        )  # fmt: skip
