"""The annotated objects of some keyframes, cut out of the clouds around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.labels import Labels
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import OnBadFile, SensorInputs
from avjepa.errors import BadFileError
from avjepa.geometry.boxes import indices_in_boxes


@dataclass(frozen=True)
class ObjectCrop:
    """An object and the points in its box, where they were seen: in the level frame of its own keyframe."""

    labels: Labels
    """One box; its numbers of points are those below. It is on no track: it is a copy."""
    lidar: Float[Tensor, "point 6"]
    """Columns: ``LIDAR_FIELDS``. Zero points where the LiDAR is not loaded."""
    radar: Float[Tensor, "radar_return 16"]
    """Columns: ``RADAR_FIELDS``. Zero points where the radar is not loaded."""


class GTDatabase:
    """Objects by class and number, as SECOND's database (Yan et al., 2018) has them.

    Nothing outside of ``moments`` can be in it. A keyframe is read when one of its objects is asked for the first time;
    then all of its objects are cut out and kept in memory, in each process its own.

    Args:
        source: the data set.
        reader: where the keyframes are read from.
        inputs: what of the LiDAR and the radar to cut.
        moments: keyframes.
        minimum_points: least number of points in a box, of the sensors of ``inputs`` together: of those that the data
            set knows of and of those that are cut.
        most_per_class: so many objects of a class are kept at most, spread evenly over the moments, to bound the
            memory.
        handler: what the reader does about a bad file.
        on_bad_file: called with a bad file that ``handler`` raised; if it returns, the keyframe's objects are left out.
    """

    def __init__(
        self,
        source: DrivingDataset,
        reader: MomentReader,
        inputs: SensorInputs,
        moments: Int64[Array, "item"],
        minimum_points: int,
        most_per_class: int,
        handler: OnBadFile,
        on_bad_file: Callable[[BadFileError], None],
    ) -> None:
        self.inputs = replace(inputs, camera=None)
        self.classes = source.taxonomy.classes
        self._source, self._reader, self._handler, self._on_bad_file = source, reader, handler, on_bad_file
        self._minimum_points = minimum_points
        found: list[list[tuple[int, int]]] = [[] for _ in self.classes]
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
        """(moment, number among the moment's labels, class index) of the boxes with enough points, as far as known."""
        boxes = self._source.boxes(moments)
        points = np.zeros(len(boxes.item), np.int64)
        unknown = np.zeros(len(boxes.item), np.bool_)
        for part, count in ((self.inputs.lidar, boxes.lidar_points), (self.inputs.radar, boxes.radar_points)):
            if part is not None:
                points += np.maximum(count, 0)
                unknown |= count < 0
        chosen = np.flatnonzero((boxes.class_index >= 0) & (unknown | (points >= self._minimum_points)))
        columns = moments[boxes.item[chosen]], boxes.number[chosen], boxes.class_index[chosen]
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _cut_out(self, moment: int) -> dict[int, ObjectCrop]:
        try:
            (sample,) = load_samples(self._reader, moment, (self.inputs,), on_bad_file=self._handler)
            labels = self._source.labels(moment)
        except BadFileError as error:
            self._on_bad_file(error)
            return {}
        numbers = self._wanted[moment]
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
                    track_ids=~labels.track_ids[own],
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
