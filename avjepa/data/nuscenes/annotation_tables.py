"""From the annotation tables to the sorted arrays of ``AnnotationIndex``."""

from collections.abc import Callable, Iterator
from itertools import compress
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int16, Int32

from avjepa.data.arrays import Array
from avjepa.data.cache import Cached
from avjepa.data.nuscenes.cached_problems import remarks_of
from avjepa.data.nuscenes.columns import Columns, Texts, fixed_width, keys_of, rows_by_token, rows_of
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.records import Attribute, Category, Instance, SampleAnnotation
from avjepa.data.nuscenes.scene_tables import unrepeated
from avjepa.data.nuscenes.table_checks import report_repeated, report_rows
from avjepa.data.nuscenes.tables import OnTableProblem, TableReader
from avjepa.data.packed_numbers import PackedNumbers
from avjepa.geometry.transforms import rotation_from_quaternion

ANNOTATION_TABLES = ("log", "scene", "sample", "category", "attribute", "instance", "sample_annotation")
"""The tables that the annotations are made from."""

_LARGEST_SIDE, _FARTHEST, _LARGEST_PART = 1e3, 1e8, 1e6
_VALUES = PackedNumbers(translation=3, size=3, rotation=4)
_TOKEN, _SAMPLE, _INSTANCE = map(attrgetter, ("token", "sample_token", "instance_token"))
_PREV, _NEXT, _VISIBILITY = map(attrgetter, ("prev", "next", "visibility_token"))
_LIDAR_POINTS, _RADAR_POINTS = map(attrgetter, ("num_lidar_pts", "num_radar_pts"))
_ATTRIBUTES = attrgetter("attribute_tokens")
_LEVELS = {"1": 1, "2": 2, "3": 3, "4": 4}
_LONGEST_GAP = 1.5  # seconds between keyframes beyond which a difference says nothing about velocity (devkit)


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
    for records in reader.batches(SampleAnnotation):
        value = _VALUES(records)
        sample = rows_by_token(samples, map(_SAMPLE, records), len(records))
        instance = rows_by_token(instances, map(_INSTANCE, records), len(records))
        if min(sample.min(initial=0), instance.min(initial=0)) < 0 or not _all_boxes(value):
            keep = np.array([_usable(reader, record, samples, instances) for record in records], np.bool_)
            records, value = list(compress(records, keep)), value[keep]
            sample, instance = sample[keep], instance[keep]
        count = len(records)
        names = list(map(_TOKEN, records))
        tokens.extend(names)
        columns.extend(
            value=value,
            key=keys_of(names, count),
            prev=keys_of(map(_PREV, records), count),
            next=keys_of(map(_NEXT, records), count),
            sample=sample,
            instance=instance,
            lidar_points=_counts(map(_LIDAR_POINTS, records), count),
            radar_points=_counts(map(_RADAR_POINTS, records), count),
            visibility=np.fromiter([_LEVELS.get(level, 0) for level in map(_VISIBILITY, records)], np.int8, count),
            attribute=_attributes(reader, records, attribute_rows),
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
        remarks_of(reader.problems),
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


def _all_boxes(value: Float64[Array, "box 10"]) -> bool:
    """Whether no numbers of a batch need a look of their own, which those of most batches do not."""
    position, size, rotation = np.abs(value[:, :3]), value[:, 3:6], np.abs(value[:, 6:])
    measured = (size > 0).all() and (size < _LARGEST_SIDE).all() and (position <= _FARTHEST).all()
    return bool(measured and rotation.any(axis=1).all() and (rotation <= _LARGEST_PART).all())


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


def _attributes(
    reader: TableReader, records: list[SampleAnnotation], rows: dict[str, int]
) -> Int16[Array, "annotation"]:
    if not rows:
        return np.full(len(records), -1, np.int16)
    numbered: dict[str | None, int] = {None: -1}
    numbered.update(rows.items())
    listed = list(map(_ATTRIBUTES, records))
    firsts = [tokens[0] if tokens else None for tokens in listed]
    if max(map(len, listed), default=0) <= 1 and numbered.keys() >= set(firsts):
        return np.fromiter(map(numbered.__getitem__, firsts), np.int16, len(records))
    found = [_attribute(reader, record, rows) if record.attribute_tokens else -1 for record in records]
    return np.array(found, np.int16)


def _attribute(reader: TableReader, record: SampleAnnotation, rows: dict[str, int]) -> int:
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


def _counts(points: Iterator[int | None], count: int) -> Int32[Array, "annotation"]:
    """Numbers of points; -1 where the table does not say."""
    counted = np.fromiter([-1 if number is None else number for number in points], np.int32, count)
    return np.maximum(counted, -1)


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
