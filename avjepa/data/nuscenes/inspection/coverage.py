"""What is not there: files of keyframes, channels in the mapping, boxes of a class, tables."""

from collections import Counter

import numpy as np

from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import counted

_LISTED = 20  # keyframes without a sensor's file, beyond which only their number is said


def unrecorded_keyframes(index: DatasetIndex) -> list[Finding]:
    """Keyframes for which a channel that is read has no record, or no channel has one."""
    found = []
    table = f"{index.version}/sample.json"
    without_any = np.setdiff1d(np.arange(len(index.sample_timestamp)), index.record_sample)
    for sample in without_any.tolist():
        found.append(Finding(f"{table} record {index.sample_token(sample)}", "has no sensor data"))
    for channel in index.channels:
        if channel not in index.sensors.names():
            continue
        groups = [np.asarray(index.records(channel, scene), np.int64) for scene in range(len(index.scene_names))]
        records = np.concatenate([np.zeros(0, np.int64), *groups])
        recorded = index.record_sample[records[index.record_is_key[records]]]
        missing = np.setdiff1d(np.arange(len(index.sample_timestamp)), np.concatenate((recorded, without_any)))
        if len(missing) > _LISTED:
            first = index.sample_token(int(missing[0]))
            problem = f"{len(missing)} of {len(index.sample_timestamp)} keyframes have no file of it, {first} for one"
            found.append(Finding(channel, problem))
        else:
            for sample in missing.tolist():
                problem = f"{channel} recorded no file of this keyframe"
                found.append(Finding(f"{table} record {index.sample_token(sample)}", problem))
    return found


def unused_channels(index: DatasetIndex) -> list[Finding]:
    """Channels that the channel mapping does not name."""
    return [
        Finding(channel, "recorded, and read by no command; name it under lidar, cameras or radars of data.channels")
        for channel in index.sensors.unused(index.channels)
    ]


def class_findings(index: DatasetIndex, annotations: AnnotationIndex, taxonomy: Taxonomy) -> list[Finding]:
    """Categories that the taxonomy does not know, and classes without a box."""
    per_category = Counter(annotations.category.tolist())
    found = [
        Finding(
            f"{index.version}/category.json",
            f"{name!r} is no category of the taxonomy: nothing is taught by its "
            f"{counted(int(per_category[row]), 'box')}; map it to a class",
        )
        for row, name in enumerate(annotations.categories)
        if name not in taxonomy.categories and per_category[row]
    ]
    counts = np.bincount(annotations.class_index[annotations.class_index >= 0], minlength=len(taxonomy.classes))
    missing = [name for name, count in zip(taxonomy.classes, counts, strict=True) if not count]
    if missing and len(annotations):
        found.append(Finding(f"{index.version}/sample_annotation.json", f"classes without a box: {', '.join(missing)}"))
    return found


def missing_tables(index: DatasetIndex) -> list[Finding]:
    """Tables that training does without, and what is lost."""
    return [
        Finding(f"{index.version}/{table}.json", f"the table is missing: {meaning}")
        for table, meaning in _MEANING.items()
        if not (index.folder / f"{table}.json").is_file()
    ]


_MEANING = {
    "attribute": "attributes are not scored, and the devkit's own evaluation does not run",
    "visibility": "boxes have no visibility level, and the devkit's own evaluation does not run",
    "map": "the devkit's own evaluation does not run; nothing else reads it",
}
