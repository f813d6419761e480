"""The annotated boxes of a dataset. Only labelled use opens this; pre-training never does."""

from collections.abc import Callable
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int32, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.cache import Cached, cached
from avjepa.data.nuscenes.columns import Columns, Texts, fixed_width, keys_of, rows_of
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.progress import reading_progress
from avjepa.data.nuscenes.records import Attribute, Category, Instance, SampleAnnotation
from avjepa.data.nuscenes.scene_tables import unrepeated
from avjepa.data.nuscenes.table_checks import report_repeated, report_rows
from avjepa.data.nuscenes.tables import OnTableProblem, TableReader, stop_at_problem
from avjepa.data.sample import Labels
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse, rotation_from_quaternion

_TABLES = ("sample", "scene", "category", "attribute", "instance", "sample_annotation")
_LARGEST_SIDE, _FARTHEST, _LARGEST_PART = 1e3, 1e8, 1e6
_NUMBERS = ((attrgetter("translation"), 3), (attrgetter("size"), 3), (attrgetter("rotation"), 4))
_LEVELS = {"1": 1, "2": 2, "3": 3, "4": 4}
_LONGEST_GAP = 1.5  # seconds between keyframes beyond which a difference says nothing about velocity (devkit)


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
        self._contents = contents
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
    def open(cls, index: DatasetIndex, taxonomy: Taxonomy) -> "AnnotationIndex":
        """Open the annotations of a dataset; cached like the index.

        Raises:
            UserError: an annotation table is missing or broken, or a token points nowhere.
        """
        sources = [index.folder / f"{table}.json" for table in _TABLES]

        def build() -> Cached:
            with reading_progress("reading annotations", sources) as on_bytes:
                return build_annotations(index.folder, index, stop_at_problem, on_bytes)

        return cls(index, taxonomy, cached(index.folder, "annotations", sources, build))

    def __reduce__(self) -> tuple[Any, ...]:
        return AnnotationIndex.open, (self._index, self.taxonomy)

    def __len__(self) -> int:
        """Number of annotations."""
        return len(self.boxes)

    def fingerprint(self) -> str:
        """SHA-256 of all boxes, their categories, points and instances: see ``DatasetIndex.fingerprint``."""
        return self._contents.fingerprint()

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


def build_annotations(
    folder: Path,
    index: DatasetIndex,
    on_problem: OnTableProblem,
    on_bytes: Callable[[int], object] = lambda count: None,
) -> Cached:
    """Read the annotation tables. A record with a problem is left out, if ``on_problem`` returns at all."""
    reader = TableReader(folder, on_problem, on_bytes)
    attributes = unrepeated(reader, Attribute) if (folder / "attribute.json").is_file() else []
    attribute_rows = {attribute.token: row for row, attribute in enumerate(attributes)}
    instances, instance_category, categories = _instances(reader)
    samples = {index.sample_token(row): row for row in range(len(index.sample_timestamp))}

    tokens, columns = Texts(), Columns()
    for batch in reader.batches(SampleAnnotation):
        records = [record for record in batch if _usable(reader, record, samples, instances)]
        count = len(records)
        tokens.extend([record.token for record in records])
        parts = [
            np.fromiter(chain.from_iterable(map(part, records)), np.float64, width * count).reshape(-1, width)
            for part, width in _NUMBERS
        ]
        columns.extend(
            value=np.concatenate(parts, axis=1),
            key=keys_of([record.token for record in records], count),
            prev=keys_of([record.prev for record in records], count),
            next=keys_of([record.next for record in records], count),
            sample=np.array([samples[record.sample_token] for record in records], np.int32),
            instance=np.array([instances[record.instance_token] for record in records], np.int32),
            lidar_points=np.array([_count(record.num_lidar_pts) for record in records], np.int32),
            radar_points=np.array([_count(record.num_radar_pts) for record in records], np.int32),
            visibility=np.array([_LEVELS.get(record.visibility_token, 0) for record in records], np.int8),
            attribute=np.array([_attribute(reader, record, attribute_rows) for record in records], np.int16),
        )

    keys, value = columns.pop("key"), columns.pop("value")
    repeated = report_repeated(reader, "sample_annotation", keys, tokens.__getitem__)
    neighbours = []
    for link in ("prev", "next"):
        wanted = columns.pop(link)
        rows = rows_of(keys, wanted)
        dangling = np.flatnonzero((rows < 0) & (wanted != 0))
        report_rows(reader, "sample_annotation", dangling, tokens.__getitem__, f"{link} points to no record", True)
        neighbours.append(rows)
    sample = columns.pop("sample")
    velocity = _velocities(value[:, :3], index.sample_timestamp[sample] * 1e-6, *neighbours)
    rotation = rotation_from_quaternion(torch.from_numpy(value[:, 6:])).numpy()
    yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    # nuScenes stores width, length, height
    boxes = np.concatenate((value[:, :3], value[:, [4, 3, 5]], yaw[:, None], velocity[:, :2]), axis=1)
    order = np.argsort(sample, kind="stable")
    order = order[~np.isin(order, repeated)]
    instance = columns.pop("instance")[order]
    return Cached(
        {
            "boxes": boxes[order],
            "category": instance_category[instance],
            "attribute": columns.pop("attribute")[order],
            "instance": instance,
            "lidar_points": columns.pop("lidar_points")[order],
            "radar_points": columns.pop("radar_points")[order],
            "visibility": columns.pop("visibility")[order].astype(np.int32),
            "sample_start": np.searchsorted(sample[order], np.arange(len(samples) + 1)).astype(np.int64),
            "instance_token": fixed_width([token.encode() for token in instances]),
        },
        {"categories": categories, "attributes": [attribute.name for attribute in attributes]},
    )


def _instances(reader: TableReader) -> tuple[dict[str, int], Int32[Array, "instance"], list[str]]:
    """The row of every instance by its token, the category of every row, and the names of the categories."""
    names = {category.token: category.name for category in unrepeated(reader, Category)}
    categories = sorted(set(names.values()))
    number = {name: row for row, name in enumerate(categories)}
    rows: dict[str, int] = {}
    category: list[int] = []
    for instance in unrepeated(reader, Instance):
        if instance.category_token in names:
            rows[instance.token] = len(rows)
            category.append(number[names[instance.category_token]])
        else:
            problem = f"category_token {instance.category_token!r} points to no record"
            reader.report("instance", instance.token, problem)
    return rows, np.array(category, np.int32), categories


def _usable(reader: TableReader, record: SampleAnnotation, samples: dict[str, int], instances: dict[str, int]) -> bool:
    if record.sample_token not in samples:
        problem = f"sample_token {record.sample_token!r} points to no record"
    elif record.instance_token not in instances:
        problem = f"instance_token {record.instance_token!r} points to no record"
    elif not 0 < min(record.size) <= max(record.size) < _LARGEST_SIDE:
        problem = f"the size is no box: its sides have to be positive and below {_LARGEST_SIDE:g} m"
    elif not any(record.rotation) or max(map(abs, record.rotation)) > _LARGEST_PART:
        problem = "the rotation is no box's: its length is zero or beyond all measure"
    elif max(map(abs, record.translation)) > _FARTHEST:
        problem = f"the translation is no place on earth: it has to stay within {_FARTHEST:g} m"
    else:
        return True
    reader.report("sample_annotation", record.token, problem)
    return False


def _attribute(reader: TableReader, record: SampleAnnotation, rows: dict[str, int]) -> int:
    if not record.attribute_tokens or not rows:
        return -1
    if len(record.attribute_tokens) > 1:
        reader.report(
            "sample_annotation", record.token, "has more than one attribute; the first is taken", blocks=False
        )
    row = rows.get(record.attribute_tokens[0])
    if row is None:
        problem = f"attribute_tokens: {record.attribute_tokens[0]!r} points to no record; no attribute is taken"
        reader.report("sample_annotation", record.token, problem, blocks=False)
        return -1
    return row


def _count(points: int | None) -> int:
    return -1 if points is None or points < 0 else points


def _velocities(
    position: Float64[Array, "box 3"], time: Float64[Array, "box"], previous: Array, following: Array
) -> Float64[Array, "box 3"]:
    """As the devkit's ``box_velocity``."""
    here = np.arange(len(position))
    first = np.where(previous >= 0, previous, here)
    last = np.where(following >= 0, following, here)
    duration = time[last] - time[first]
    allowed = np.where((previous >= 0) & (following >= 0), 2 * _LONGEST_GAP, _LONGEST_GAP)
    known = (first != last) & (duration <= allowed)
    with np.errstate(divide="ignore", invalid="ignore"):
        velocity: Array = (position[last] - position[first]) / duration[:, None]
    velocity[~known] = np.nan
    return velocity
