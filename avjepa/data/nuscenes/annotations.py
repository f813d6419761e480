"""The annotated boxes of a dataset. Only labelled use opens this; pre-training never does."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.cache import Cached, cached
from avjepa.data.labels import Labels
from avjepa.data.nuscenes.annotation_tables import ANNOTATION_TABLES, build_annotations
from avjepa.data.nuscenes.cached_problems import problems_of
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.tables import TableProblem, pass_over_problem, stop_at_problem
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.progress import reading_bar


class AnnotationIndex:
    """Boxes sorted by sample, and the instances they belong to.

    Attributes:
        boxes: ``BOX_FIELDS`` of every annotation in the *global* frame. Velocity is the devkit's: the difference of the
            positions in the next and the previous keyframe, or one of them and this one; NaN where neither exists.
        class_index: index into the taxonomy's classes, -1 for categories of no class.
        category: index into ``categories``.
        attribute: index into ``attributes``, -1 where there is none; the first one where a box has several.
        instance: row into ``instance_token``.
        lidar_points: stored number of LiDAR points; -1 where the table does not say.
        radar_points: stored number of radar points; -1 where the table does not say.
        visibility: level 1-4; 0 where the table does not say.
    """

    def __init__(self, index: DatasetIndex, taxonomy: Taxonomy, contents: Cached) -> None:
        arrays = contents.arrays
        self._index = index
        self._contents = contents
        self.taxonomy = taxonomy
        self.categories: tuple[str, ...] = tuple(contents.info["categories"])
        self.boxes = arrays["boxes"]
        self.attributes: tuple[str, ...] = tuple(contents.info["attributes"])
        self.category = arrays["category"]
        self.attribute = arrays["attribute"]
        class_of_category = np.array([taxonomy.class_of(name) for name in self.categories], np.int16)
        self.class_index = class_of_category[self.category] if self.categories else self.category.astype(np.int16)
        self.instance = arrays["instance"]
        self.lidar_points = arrays["lidar_points"]
        self.radar_points = arrays["radar_points"]
        self.visibility = arrays["visibility"]
        self._sample_start = arrays["sample_start"]
        self._instance_token = arrays["instance_token"]

    @staticmethod
    def is_there(index: DatasetIndex) -> bool:
        """Whether the dataset has an annotation table; a drive that nobody labelled has none."""
        return (index.folder / "sample_annotation.json").exists()

    @classmethod
    def open(cls, index: DatasetIndex, taxonomy: Taxonomy, keep_broken: bool = False) -> "AnnotationIndex":
        """Open the annotations of a dataset; cached like the index.

        Args:
            index: the dataset.
            taxonomy: the classes.
            keep_broken: leave broken records out, for ``problems`` to say, instead of refusing them.

        Raises:
            UserError: an annotation table is missing or broken, or, unless ``keep_broken``, a token points nowhere.
        """
        sources = [index.folder / f"{table}.json" for table in ANNOTATION_TABLES]

        def build() -> Cached:
            with reading_bar("reading annotations", sources) as on_bytes:
                on_problem = pass_over_problem if keep_broken else stop_at_problem
                return build_annotations(index.folder, index, on_problem, on_bytes)

        annotations = cls(index, taxonomy, cached(index.folder, "annotations", sources, build, problems_of))
        if not keep_broken:
            for problem in annotations.problems:
                stop_at_problem(problem)
        return annotations

    def __reduce__(self) -> tuple[Any, ...]:
        return AnnotationIndex.open, (self._index, self.taxonomy)

    def __len__(self) -> int:
        """Number of annotations."""
        return len(self.boxes)

    def fingerprint(self) -> str:
        """SHA-256 of all boxes, their categories, points and instances: see ``DatasetIndex.fingerprint``."""
        return self._contents.fingerprint()

    @property
    def problems(self) -> list[TableProblem]:
        """What is wrong with the tables of the annotations."""
        return problems_of(self._contents)

    @cached_property
    def sample(self) -> Int64[Array, "box"]:
        """Sample (keyframe) of every annotation, ascending."""
        return np.repeat(np.arange(len(self._sample_start) - 1), np.diff(self._sample_start))

    def of_sample(self, sample: int) -> range:
        """Rows of the annotations of a sample (keyframe)."""
        return range(int(self._sample_start[sample]), int(self._sample_start[sample + 1]))

    def instance_token(self, instance: int) -> str:
        """Token of an instance by its row."""
        token: str = self._instance_token[instance].tobytes().rstrip(b"\0").decode()
        return token

    def labels(self, moment: int) -> Labels:
        """Boxes of the taxonomy's classes at a keyframe, in its level frame; numbers of points as they are stored."""
        record = int(self._index.moment_record[moment])
        rows = np.asarray(self.of_sample(int(self._index.record_sample[record])))
        rows = rows[self.class_index[rows] >= 0] if len(rows) else np.zeros(0, np.int64)
        level_from_global = inverse(self._index.global_from_level(record))
        boxes = transform_boxes(level_from_global, torch.from_numpy(self.boxes[rows]))
        return Labels(
            boxes=boxes.float(),
            class_index=torch.from_numpy(self.class_index[rows].astype(np.int64)),
            lidar_points=torch.from_numpy(self.lidar_points[rows].astype(np.int64)),
            radar_points=torch.from_numpy(self.radar_points[rows].astype(np.int64)),
            visibility=torch.from_numpy(self.visibility[rows].astype(np.int64)),
            track_ids=torch.from_numpy(self.instance[rows].astype(np.int64)),
        )
