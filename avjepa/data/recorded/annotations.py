"""The boxes of scenes, as training, summaries and scoring ask for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.labels import Labels
from avjepa.data.protocol import AnnotatedKeyframes, BoxSummary
from avjepa.data.recorded.boxes import SceneBoxes
from avjepa.data.recorded.records import SceneRecords
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.boxes import transform_boxes

_TRACKS_OF_A_SCENE = 1 << 24
"""Numbers that the objects of a scene may have; those of the next scene come behind them."""


@dataclass(frozen=True)
class BoxesOfScenes:
    """The boxes of all scenes.

    Args:
        scenes: names of the scenes.
        of_scene: what is annotated in each.
        taxonomy: the classes.
    """

    scenes: Sequence[str]
    of_scene: Callable[[str], SceneBoxes | None]
    taxonomy: Taxonomy

    def labels(self, scene: str, row: int, level_from_global: Float64[Tensor, "4 4"]) -> Labels:
        """The boxes of the taxonomy's classes at a moment, in its level frame; numbers of points as they are stored.

        Args:
            scene: whose moment it is.
            row: which of the scene's moments.
            level_from_global: of the moment.
        """
        boxes = self.of_scene(scene)
        if boxes is None:
            return Labels.none()
        rows = np.asarray(boxes.rows_of(row), np.int64)
        class_index = boxes.classes(self.taxonomy)[rows]
        rows, class_index = rows[class_index >= 0], class_index[class_index >= 0]
        return Labels(
            boxes=transform_boxes(level_from_global, torch.from_numpy(boxes.boxes[rows])).float(),
            class_index=torch.from_numpy(class_index),
            lidar_points=torch.from_numpy(boxes.lidar_points[rows]),
            radar_points=torch.from_numpy(boxes.radar_points[rows]),
            visibility=torch.zeros(len(rows), dtype=torch.int64),
            track_ids=torch.from_numpy(boxes.track[rows] + self.scenes.index(scene) * _TRACKS_OF_A_SCENE),
        )

    def track_name(self, track_id: int) -> str:
        """The data set's own name of an object."""
        scene, number = divmod(track_id, _TRACKS_OF_A_SCENE)
        boxes = self.of_scene(self.scenes[scene])
        assert boxes is not None, "an object has a box"
        return boxes.tracks[number]

    def summary(self, moments: Sequence[tuple[str, int]]) -> BoxSummary:
        """The boxes of some moments, each given by its scene and its row there."""
        columns = _Columns()
        for item, (scene, row) in enumerate(moments):
            boxes = self.of_scene(scene)
            if boxes is not None:
                rows = np.asarray(boxes.rows_of(row), np.int64)
                class_index = boxes.classes(self.taxonomy)[rows]
                number = np.where(class_index >= 0, np.cumsum(class_index >= 0) - 1, -1)
                columns.add(
                    item=np.full(len(rows), item), number=number, class_index=class_index,
                    category=columns.categories_of(boxes)[rows], lidar_points=boxes.lidar_points[rows],
                    radar_points=boxes.radar_points[rows],
                )  # fmt: skip
        names = ("item", "number", "class_index", "category", "lidar_points", "radar_points")
        return BoxSummary(categories=columns.categories(), **{name: columns.joined(name) for name in names})

    def of_keyframes(self, scenes: Sequence[str], records_of: Callable[[str], SceneRecords]) -> AnnotatedKeyframes:
        """All keyframes and boxes of some scenes, and what was recorded in them."""
        tokens: list[str] = []
        columns = _Columns()
        vehicle, geometry = [np.zeros((0, 2))], [np.zeros((0, 9))]
        for number, name in enumerate(self.scenes):
            if name not in scenes:
                continue
            records, boxes = records_of(name), self.of_scene(name)
            keyframes = records.keyframes()
            place = np.cumsum(keyframes) - 1 + len(tokens)
            tokens += [records.tokens[row] for row in np.flatnonzero(keyframes).tolist()]
            columns.add(time=records.time[keyframes], scene=np.full(int(keyframes.sum()), number))
            vehicle.append(records.global_from_ego[keyframes, :2, 3])
            if boxes is not None:
                rows = np.flatnonzero(keyframes[boxes.moment])
                geometry.append(boxes.boxes[rows])
                columns.add(
                    keyframe=place[boxes.moment[rows]], class_index=boxes.classes(self.taxonomy)[rows],
                    category=columns.categories_of(boxes)[rows], lidar_points=boxes.lidar_points[rows],
                    radar_points=boxes.radar_points[rows], track=boxes.track[rows] + number * _TRACKS_OF_A_SCENE,
                )  # fmt: skip
        boxes_there = np.concatenate(geometry)
        names = ("time", "scene", "keyframe", "class_index", "category", "lidar_points", "radar_points", "track")
        return AnnotatedKeyframes(
            tokens=tuple(tokens), scenes=tuple(self.scenes), vehicle=np.concatenate(vehicle), boxes=boxes_there,
            categories=columns.categories(), attribute=np.full(len(boxes_there), -1, np.int64), attributes=None,
            visibility=np.zeros(len(boxes_there), np.int64), **{name: columns.joined(name) for name in names},
        )  # fmt: skip


class _Columns:
    """Columns that grow scene by scene, and the categories that were met."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}
        self._categories: dict[str, int] = {}

    def add(self, **columns: Array) -> None:
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)

    def categories_of(self, boxes: SceneBoxes) -> Int64[Array, "box"]:
        """Index of every box's category among all that were met."""
        number = [self._categories.setdefault(name, len(self._categories)) for name in boxes.categories]
        return np.array(number, np.int64)[boxes.category]

    def categories(self) -> tuple[str, ...]:
        return tuple(self._categories)

    def joined(self, name: str) -> Int64[Array, "row"]:
        result: Array = np.concatenate([np.zeros(0, np.int64), *self._parts.get(name, [])]).astype(np.int64)
        return result
