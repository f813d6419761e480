"""What tracks are held against: annotated objects, and where boxes count."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.ground_truth import EvaluationRegion, countable_rows
from avjepa.evaluate.tracking.hota import SequenceMoment, similarity
from avjepa.evaluate.tracking.tracks import Tracks


@dataclass(frozen=True)
class Truth:
    """The annotated boxes of a split that count in the official evaluation: with a point, in range, not hidden."""

    tokens: tuple[str, ...]
    """Of all keyframes."""
    scene: Int64[Array, "keyframe"]
    region: EvaluationRegion
    keyframe: Int64[Array, "box"]
    class_index: Int64[Array, "box"]
    place: Float64[Array, "box 2"]
    """Centre on the ground (m, global frame)."""
    track: Int64[Array, "box"]

    @classmethod
    def of(cls, annotated: AnnotatedKeyframes, taxonomy: Taxonomy) -> "Truth":
        """Of what is annotated in a split."""
        region, rows = EvaluationRegion.of(annotated, taxonomy), countable_rows(annotated)
        columns = annotated.keyframe[rows], annotated.class_index[rows], annotated.boxes[rows, :3]
        rows = rows[region.holds(*columns)]
        return cls(
            tokens=annotated.tokens,
            scene=annotated.scene,
            region=region,
            keyframe=annotated.keyframe[rows],
            class_index=annotated.class_index[rows],
            place=annotated.boxes[rows, :2],
            track=annotated.track[rows],
        )

    def sequences(self, tracks: Tracks, class_index: int) -> list[list[SequenceMoment]]:
        """Scene by scene, the annotated and the tracked boxes of a class that count, keyframe by keyframe.

        Args:
            tracks: of the same keyframes in the same order.
            class_index: of the class.
        """
        counts = self.region.holds(tracks.keyframe, tracks.class_index, tracks.boxes[:, :3])
        box, own = counts & (tracks.class_index == class_index), self.class_index == class_index
        result = []
        for scene in np.unique(self.scene):
            of_scene = np.flatnonzero(self.scene == scene)
            low, high = of_scene[0], of_scene[-1]
            truth = np.flatnonzero(own & (self.keyframe >= low) & (self.keyframe <= high))
            boxes = np.flatnonzero(box & (tracks.keyframe >= low) & (tracks.keyframe <= high))
            result.append(
                _sequence(
                    of_scene,
                    (self.keyframe[truth], self.track[truth], self.place[truth]),
                    (tracks.keyframe[boxes], tracks.track[boxes], tracks.boxes[boxes, :2]),
                )
            )
        return result


_Boxes = tuple[Int64[Array, "_"], Int64[Array, "_"], Float64[Array, "_ 2"]]
"""Keyframes, objects and places."""


def _sequence(keyframes: Int64[Array, "keyframe"], truth: _Boxes, tracked: _Boxes) -> list[SequenceMoment]:
    number, own = (np.unique(boxes[1], return_inverse=True)[1].astype(np.int64) for boxes in (truth, tracked))
    moments = []
    for at in keyframes:
        rows, boxes = np.flatnonzero(truth[0] == at), np.flatnonzero(tracked[0] == at)
        moments.append(SequenceMoment(number[rows], own[boxes], similarity(truth[2][rows], tracked[2][boxes])))
    return moments
