"""The annotated objects of some keyframes, cut out of the clouds around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.loading.sample_loader import SampleLoader, SensorInputs
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.schema import CLASSES, LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.sample import Labels, Sample
from avjepa.errors import BadFileError
from avjepa.geometry.boxes import indices_in_boxes


@dataclass(frozen=True)
class ObjectCrop:
    """An object and the points in its box, where they were seen: in the level frame of its own keyframe."""

    labels: Labels
    """One box; its numbers of points are those below, its instance names the keyframe too: it is a copy."""
    lidar: Float[Tensor, "point 6"]
    """Columns: ``LIDAR_FIELDS``. Zero points where the LiDAR is not loaded."""
    radar: Float[Tensor, "radar_return 16"]
    """Columns: ``RADAR_FIELDS``. Zero points where the radar is not loaded."""


class GTDatabase:
    """Objects by class and number, as SECOND's database (Yan et al., 2018) has them.

    Nothing outside of ``moments`` can be in it. A keyframe is read when one of its objects is asked for the first time;
    then all of its objects are cut out and kept in memory, in each process its own.

    Args:
        loader: reads the keyframes.
        annotations: their boxes.
        view: what of the LiDAR and the radar to cut.
        moments: keyframes.
        minimum_points: least number of points in a box, of the sensors of ``view`` together: of those that the tables
            count and of those that are cut.
        most_per_class: so many objects of a class are kept at most, spread evenly over the moments, to bound the
            memory.
        on_bad_file: called with a bad file of a keyframe; if it returns, the keyframe's objects are left out.
    """

    def __init__(
        self,
        loader: SampleLoader,
        annotations: AnnotationIndex,
        view: SensorInputs,
        moments: Int64[Array, "item"],
        minimum_points: int,
        most_per_class: int,
        on_bad_file: Callable[[BadFileError], None],
    ) -> None:
        self.view = replace(view, camera=None)
        self._loader, self._annotations = loader, annotations
        self._minimum_points, self._on_bad_file = minimum_points, on_bad_file
        found: list[list[tuple[int, int]]] = [[] for _ in CLASSES]
        for moment, box, class_index in self._boxes_with_points(moments):
            found[class_index].append((moment, box))
        self._places = [_thinned(places, most_per_class) for places in found]
        self._wanted: dict[int, list[int]] = {}
        for places in self._places:
            for moment, box in places:
                self._wanted.setdefault(moment, []).append(box)
        self._cut: dict[int, Mapping[int, ObjectCrop]] = {}

    def count(self, class_index: int) -> int:
        """Number of objects of a class."""
        return len(self._places[class_index])

    def get(self, class_index: int, number: int) -> ObjectCrop | None:
        """An object; ``None`` if fewer points than enough were cut, or its file is bad.

        Raises:
            BadFileError: if ``on_bad_file`` raises it.
        """
        moment, box = self._places[class_index][number]
        if moment not in self._cut:
            self._cut[moment] = self._cut_out(moment)
        return self._cut[moment].get(box)

    def _boxes_with_points(self, moments: Int64[Array, "item"]) -> list[tuple[int, int, int]]:
        """(moment, number among the moment's labels, class index) of the boxes with enough points in the tables."""
        index, annotations = self._loader.index, self._annotations
        points = np.zeros(len(annotations), np.int64)
        if self.view.lidar is not None:
            points += annotations.lidar_points
        if self.view.radar is not None:
            points += annotations.radar_points
        result: list[tuple[int, int, int]] = []
        for moment, sample in zip(moments, index.record_sample[index.moment_record[moments]], strict=True):
            rows = np.asarray(annotations.of_sample(int(sample)), np.int64)
            rows = rows[annotations.class_index[rows] >= 0]  # as ``AnnotationIndex.labels`` numbers them
            boxes = np.flatnonzero(points[rows] >= self._minimum_points)
            classes = annotations.class_index[rows[boxes]]
            result += [(int(moment), int(box), int(name)) for box, name in zip(boxes, classes, strict=True)]
        return result

    def _cut_out(self, moment: int) -> dict[int, ObjectCrop]:
        try:
            sample = self._loader.load(moment, self.view)
        except BadFileError as error:
            self._on_bad_file(error)
            return {}
        numbers = self._wanted[moment]
        labels = self._annotations.labels(moment)
        boxes = labels.boxes[numbers]
        lidar, radar = _cut_clouds(sample, boxes)
        found = {}
        for place, number in enumerate(numbers):
            if len(lidar[place]) + len(radar[place]) >= self._minimum_points:
                own = slice(number, number + 1)
                copy = Labels(
                    boxes=labels.boxes[own],
                    class_index=labels.class_index[own],
                    lidar_points=torch.tensor([len(lidar[place])]),
                    radar_points=torch.tensor([len(radar[place])]),
                    visibility=labels.visibility[own],
                    instances=(f"{labels.instances[number]}+{sample.token}",),
                )
                found[number] = ObjectCrop(copy, lidar[place], radar[place])
        return found


def _cut_clouds(sample: Sample, boxes: Float[Tensor, "box 9"]) -> tuple[list[Tensor], list[Tensor]]:
    """Copies of the points in each box, LiDAR and radar."""
    result = []
    for cloud, fields in ((sample.lidar, LIDAR_FIELDS), (sample.radar, RADAR_FIELDS)):
        points = torch.zeros(0, len(fields)) if cloud is None else cloud
        result.append([points[inside] for inside in indices_in_boxes(points[:, :3], boxes)])
    return result[0], result[1]


def _thinned(places: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    if len(places) <= most:
        return places
    return [places[int(number)] for number in np.linspace(0, len(places) - 1, most).round()]
