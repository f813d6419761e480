"""Figures that are a sum over scenes divided by another: IoU of segmented classes, rank-1 of re-identification."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

from avjepa.data.arrays import Array
from avjepa.data.protocol import DrivingDataset
from avjepa.evaluate.comparing.measure import Item, Measure
from avjepa.evaluate.reidentification.comparison import questions
from avjepa.evaluate.reidentification.methods import EMBEDDING, scores
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.reidentification.scores import Outcome
from avjepa.evaluate.segmentation.result_file import SegmentationFile
from avjepa.evaluate.segmentation.scoring import counts_by_scene
from avjepa.evaluate.segmentation.truth import SegmentationTruth

MEAN_IOU, IOU, RANK1 = "mIoU", "IoU", "rank1"


class Ratios(Measure):
    """Ratios of sums over scenes, and their mean as a headline where it has a name.

    Args:
        items: what each ratio is.
        part: of each ratio and scene.
        whole: as ``part``; 0 where a scene has nothing to score.
        headline: group of the mean of the ratios; none if empty.
    """

    def __init__(
        self,
        items: Sequence[Item],
        part: Float64[Array, "ratio scene"],
        whole: Float64[Array, "ratio scene"],
        headline: str = "",
    ) -> None:
        self.scenes = part.shape[1]
        self._part, self._whole, self._has_mean = part, whole, bool(headline)
        mean = [Item(headline, "", sum(item.objects for item in items), max(item.scenes for item in items))]
        self.items = (*mean, *items) if headline else tuple(items)
        self.values = self.weighted(np.ones((1, self.scenes), np.float32))[0]

    def weighted(self, weights: Float32[Array, "draw scene"]) -> Float64[Array, "draw item"]:
        """See ``Measure``."""
        exact = weights.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Array = (exact @ self._part.T) / (exact @ self._whole.T)
            if not self._has_mean:
                return ratios
            known = ~np.isnan(ratios)
            mean = np.where(known, ratios, 0.0).sum(axis=1) / known.sum(axis=1)
        return np.concatenate((mean[:, None], ratios), axis=1)


def segmentation_measure(
    source: DrivingDataset, scenes: list[str], file: SegmentationFile, classes: Sequence[str]
) -> Ratios | None:
    """IoU of some classes at a probability of one half, and their mean; ``None`` where nothing can be scored.

    Args:
        source: the data set.
        scenes: names.
        file: the maps of a release.
        classes: those that are compared.
    """
    truth = SegmentationTruth.of(source, scenes, file.classes)
    names = [name for name in classes if truth.classes is not None and name in truth.classes.names]
    if not names or file.grid is None:
        return None
    assert truth.classes is not None
    counters = counts_by_scene(file, truth, source, scenes)
    rows = [truth.classes.names.index(name) for name in names]
    sums = np.array([[counters[scene].hits_and_union(row) for scene in scenes] for row in rows], float)
    present = np.array([[int(counters[scene].counts[row, 1].sum()) for scene in scenes] for row in rows])
    items = [
        Item(IOU, name, int(cells.sum()), int((cells > 0).sum())) for name, cells in zip(names, present, strict=True)
    ]
    return Ratios(items, sums[..., 0], sums[..., 1], MEAN_IOU)


def reidentification_measure(source: DrivingDataset, scenes: list[str], file: EmbeddingFile) -> Ratios | None:
    """Rank-1 by the embedding alone; ``None`` where no object comes back.

    Args:
        source: the data set.
        scenes: names.
        file: the embeddings of a release.
    """
    asked = questions(source, scenes, file=file)
    queries = asked.queries
    events = ~queries.is_newborn
    if not events.any():
        return None
    found = scores(Pairs.of_galleries(queries), asked.parameters, 0, asked.embeddings)[EMBEDDING]
    first = Outcome.of(queries, found).first[events]
    names = [queries.sightings.scenes[number] for number in queries.sightings.scene[queries.sighting][events]]
    scene = np.array([scenes.index(name) for name in names])
    count = np.bincount(scene, minlength=len(scenes)).astype(float)
    right = np.bincount(scene, first, minlength=len(scenes))
    return Ratios([Item(RANK1, "", len(first), int((count > 0).sum()))], right[None], count[None])
