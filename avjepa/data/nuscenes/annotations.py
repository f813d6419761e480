"""The annotated boxes of a dataset. Only labelled use opens this; pre-training never does."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.cache import Cached, cached
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.index_tables import fixed_width
from avjepa.data.nuscenes.tables import OnTableProblem, TableProblem, records, stop_at_problem, table_name, token_key
from avjepa.data.sample import Labels
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse, rotation_from_quaternion

_TABLES = ("sample", "scene", "category", "instance", "sample_annotation")
_LONGEST_GAP = 1.5  # seconds between keyframes beyond which a difference says nothing about velocity (devkit)


class AnnotationIndex:
    """Boxes sorted by sample, and the instances they belong to.

    Attributes:
        boxes: ``BOX_FIELDS`` of every annotation in the *global* frame. Velocity is the devkit's: the difference of the
            positions in the next and the previous keyframe, or one of them and this one; NaN where neither exists.
        class_index: index into the taxonomy's classes, -1 for categories of no class.
        category: index into ``categories``.
        instance: row into ``instance_token``.
        lidar_points: stored number of LiDAR points.
        radar_points: stored number of radar points.
        visibility: level 1-4; 0 where the table does not say.
    """

    def __init__(self, index: DatasetIndex, taxonomy: Taxonomy, contents: Cached) -> None:
        arrays = contents.arrays
        self._index = index
        self._contents = contents
        self._taxonomy = taxonomy
        self._contents = contents
        self.categories: tuple[str, ...] = tuple(contents.info["categories"])
        self.boxes = arrays["boxes"]
        self.category = arrays["category"]
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
        contents = cached(
            index.folder, "annotations", sources, lambda: build_annotations(index.folder, index, stop_at_problem)
        )
        return cls(index, taxonomy, contents)

    def __reduce__(self) -> tuple[Any, ...]:
        return AnnotationIndex.open, (self._index, self._taxonomy)

    def __len__(self) -> int:
        """Number of annotations."""
        return len(self.boxes)

    def fingerprint(self) -> str:
        """SHA-256 of all boxes, their classes, points and instances: see ``DatasetIndex.fingerprint``."""
        return self._contents.fingerprint()

    def of_sample(self, sample: int) -> range:
        """Rows of the annotations of a sample (keyframe)."""
        return range(int(self._sample_start[sample]), int(self._sample_start[sample + 1]))

    def instance_token(self, instance: int) -> str:
        """Token of an instance by its row."""
        token: str = self._instance_token[instance].tobytes().rstrip(b"\0").decode()
        return token

    def labels(self, moment: int) -> Labels:
        """Boxes of the taxonomy's classes at a keyframe, in the ego frame at the moment's reference time."""
        record = int(self._index.moment_record[moment])
        rows = np.asarray(self.of_sample(int(self._index.record_sample[record])))
        rows = rows[self.class_index[rows] >= 0] if len(rows) else np.zeros(0, np.int64)
        bev_from_global = inverse(self._index.global_from_ego(np.array([record]))[0])
        boxes = transform_boxes(bev_from_global, torch.from_numpy(self.boxes[rows]))
        return Labels(
            boxes=boxes.float(),
            class_index=torch.from_numpy(self.class_index[rows].astype(np.int64)),
            lidar_points=torch.from_numpy(self.lidar_points[rows].astype(np.int64)),
            radar_points=torch.from_numpy(self.radar_points[rows].astype(np.int64)),
            visibility=torch.from_numpy(self.visibility[rows].astype(np.int64)),
            instances=tuple(self.instance_token(int(instance)) for instance in self.instance[rows]),
        )


def build_annotations(folder: Path, index: DatasetIndex, on_problem: OnTableProblem) -> Cached:
    """Read the annotation tables. A record with a problem is left out, if ``on_problem`` returns at all."""

    def report(table: str, token: str, problem: str) -> None:
        on_problem(TableProblem(table_name(folder, table), token, problem))

    categories = {r["token"]: r["name"] for r in records(folder, "category", on_problem, "name")}
    names = sorted(set(categories.values()))
    instances: dict[str, tuple[int, int]] = {}
    for record in records(folder, "instance", on_problem, "category_token"):
        if record["category_token"] in categories:
            instances[record["token"]] = (len(instances), names.index(categories[record["category_token"]]))
        else:
            report("instance", record["token"], f"category_token {record['category_token']!r} points to no record")
    samples = {index.sample_token(row): row for row in range(len(index.sample_timestamp))}

    tokens: list[str] = []
    key, previous, following = array("Q"), array("Q"), array("Q")
    numbers, values = array("i"), array("d")
    needed = ("sample_token", "instance_token", "translation", "size", "rotation", "prev", "next")
    for record in records(folder, "sample_annotation", on_problem, *needed, "num_lidar_pts", "num_radar_pts"):
        if record["sample_token"] not in samples:
            report("sample_annotation", record["token"], f"sample_token {record['sample_token']!r} points to no record")
            continue
        if record["instance_token"] not in instances:
            token = record["instance_token"]
            report("sample_annotation", record["token"], f"instance_token {token!r} points to no record")
            continue
        row = [float(v) for name in ("translation", "size", "rotation") for v in record[name]]
        if len(row) != 10 or not np.isfinite(row).all() or min(row[3:6]) <= 0 or not any(row[6:]):
            report("sample_annotation", record["token"], "the translation, size or rotation is no box")
            continue
        visibility = record.get("visibility_token") or "0"
        instance, category = instances[record["instance_token"]]
        tokens.append(record["token"])
        key.append(token_key(record["token"]))
        previous.append(token_key(record["prev"]) if record["prev"] else 0)
        following.append(token_key(record["next"]) if record["next"] else 0)
        numbers.extend(
            (
                samples[record["sample_token"]], instance, category, int(record["num_lidar_pts"]),
                int(record["num_radar_pts"]), int(visibility) if visibility in "1234" else 0,
            )
        )  # fmt: skip
        values.extend(row)

    number = np.array(numbers, np.int32).reshape(-1, 6)
    value = np.array(values, np.float64).reshape(-1, 10)
    keys = np.array(key, np.uint64)
    neighbours = []
    for name, links in (("prev", np.array(previous, np.uint64)), ("next", np.array(following, np.uint64))):
        rows = _rows_of(keys, links)
        for dangling in np.flatnonzero((rows < 0) & (links != 0)):
            report("sample_annotation", tokens[dangling], f"{name} points to no record")
        neighbours.append(rows)
    velocity = _velocities(value[:, :3], index.sample_timestamp[number[:, 0]] * 1e-6, *neighbours)
    rotation = rotation_from_quaternion(torch.from_numpy(value[:, 6:])).numpy()
    yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    # nuScenes stores width, length, height
    boxes = np.concatenate((value[:, :3], value[:, [4, 3, 5]], yaw[:, None], velocity[:, :2]), axis=1)
    order = np.argsort(number[:, 0], kind="stable")
    sample, instance_row, category_row, lidar_points, radar_points, level = number[order].T
    return Cached(
        {
            "boxes": boxes[order],
            "category": category_row,
            "instance": instance_row,
            "lidar_points": lidar_points,
            "radar_points": radar_points,
            "visibility": level,
            "sample_start": np.searchsorted(sample, np.arange(len(samples) + 1)).astype(np.int64),
            "instance_token": fixed_width([token.encode() for token in instances]),
        },
        {"categories": names},
    )


def _rows_of(keys: UInt64[Array, "row"], wanted: UInt64[Array, "wanted"]) -> Array:
    """Row of every wanted key; -1 for the key 0 (no link)."""
    order = np.argsort(keys)
    position = np.minimum(np.searchsorted(keys, wanted, sorter=order), max(len(keys) - 1, 0))
    rows = order[position] if len(keys) else np.zeros(0, np.int64)
    matched: Array = np.where(keys[rows] == wanted, rows, -1)
    return matched


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
