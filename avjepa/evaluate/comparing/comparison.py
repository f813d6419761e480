"""Two releases on one split: everything that changed, and what the gate says of it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError, counted
from avjepa.evaluate.comparing.changes import Change, changes
from avjepa.evaluate.comparing.detection import DetectionMeasure, DetectionScenes
from avjepa.evaluate.comparing.gate import Gate, Judgement, judged
from avjepa.evaluate.comparing.measure import Measure
from avjepa.evaluate.comparing.ratios import reidentification_measure, segmentation_measure
from avjepa.evaluate.comparing.released import Released, require_same_definitions
from avjepa.evaluate.comparing.thresholds import Threshold, best_thresholds
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.fast import MAXIMUM_BOXES, MatchedPredictions
from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.segmentation.result_file import SegmentationFile


@dataclass(frozen=True)
class Place:
    """A scene or a keyframe, with the mAP of its own classes in both releases."""

    name: str
    scene: str
    old: float
    new: float

    @property
    def change(self) -> float:
        """By how much the new release is better there."""
        return self.new - self.old


@dataclass(frozen=True)
class DetectionDetails:
    """Where detections changed, scene by scene.

    Attributes:
        scenes: all with a box, the largest loss first.
        keyframes: likewise.
        thresholds: of the old and the new release, by class.
    """

    scenes: tuple[Place, ...]
    keyframes: tuple[Place, ...]
    thresholds: tuple[Mapping[str, Threshold], Mapping[str, Threshold]]


@dataclass(frozen=True)
class Comparison:
    """What two releases differ in.

    Attributes:
        old, new: the releases.
        scenes: number of scenes.
        judgements: every figure that both have, by task.
        dropped: tasks and classes of the old release that the new one lacks, in words.
        added: those that are new.
        details: of each detection task.
        gate: that judged.
    """

    old: Released
    new: Released
    scenes: int
    judgements: Mapping[str, Sequence[Judgement]]
    dropped: tuple[str, ...]
    added: tuple[str, ...]
    details: Mapping[str, DetectionDetails]
    gate: Gate
    notes: tuple[str, ...] = field(default=())

    @property
    def failures(self) -> list[str]:
        """Why the new release is stopped, in words; empty if it passes."""
        lost = [f"dropped: {name}" for name in self.dropped]
        if not any(not one.reason for judgements in self.judgements.values() for one in judgements):
            lost.append(
                f"nothing could be judged: no figure has {counted(self.gate.fewest_objects, 'object')} in "
                f"{counted(self.gate.fewest_scenes, 'scene')}; evaluate both on more scenes"
            )
        for task, judgements in self.judgements.items():
            for one in judgements:
                if one.fails:
                    lost.append(
                        f"{task}: {one.change.item.label} changed by {100 * one.change.value:+.1f}, a loss of surely "
                        f"{100 * one.sure_loss:.1f} where {100 * one.most_loss:g} is permitted"
                    )
        return lost


def compared(source: DrivingDataset, split: str, old: Released, new: Released, gate: Gate) -> Comparison:
    """Compare two releases.

    Args:
        source: the data set, opened with the classes of the new release.
        split: that both were evaluated on.
        old: what is out.
        new: what may follow it.
        gate: that judges.

    Raises:
        UserError: a result file is not of the split, the two know a class by other categories, or the split has a
            single scene.
    """
    scenes = source.scenes_of(split)
    if len(scenes) < 2:
        raise UserError(
            f"{source.name}: split {split} has one scene; how sure a change is follows from scenes that are drawn "
            "anew, so evaluate both releases on a split of two or more"
        )
    classes = require_same_definitions(old, new)
    dropped = [f"class {name}" for name in old.taxonomy.classes if name not in classes]
    added = [f"class {name}" for name in new.taxonomy.classes if name not in classes]
    changed: dict[str, list[Change]] = {}
    details = {}
    notes = []
    for task, before in old.results.items():
        after = new.results.get(task)
        if type(before) is not type(after):
            dropped.append(f"task {task}")
            continue
        measures: tuple[Measure | None, Measure | None]
        if isinstance(before, ResultFile) and isinstance(after, ResultFile):
            annotated = source.annotated_keyframes(scenes)
            held = DetectionScenes.of(annotated, source.taxonomy, source.scene_descriptions(), classes)
            tables = [renamed(file, one, new, held.truth.sample_tokens) for file, one in ((before, old), (after, new))]
            matches = [held.matched(table) for table in tables]
            measures = (
                DetectionMeasure(held, matches[0], gate.fewest_objects),
                DetectionMeasure(held, matches[1], gate.fewest_objects),
            )
            details[task] = _details(held, (matches[0], matches[1]))
        elif isinstance(before, SegmentationFile) and isinstance(after, SegmentationFile):
            segmented = [name for name in after.classes.names if name in before.classes.names]
            dropped += [f"class {name} of {task}" for name in before.classes.names if name not in segmented]
            added += [f"class {name} of {task}" for name in after.classes.names if name not in segmented]
            measures = (
                segmentation_measure(source, scenes, before, segmented),
                segmentation_measure(source, scenes, after, segmented),
            )
        else:
            assert isinstance(before, EmbeddingFile) and isinstance(after, EmbeddingFile)
            measures = (
                reidentification_measure(source, scenes, before),
                reidentification_measure(source, scenes, after),
            )
        if measures[0] is None or measures[1] is None:
            notes.append(f"{task}: nothing to score in {split}")
            continue
        changed[task] = changes(measures[0], measures[1], gate.draws, gate.seed)
    added += [f"task {task}" for task in new.results if task not in old.results]
    every = iter(judged([change for one in changed.values() for change in one], gate))  # whose errors are shared out
    judgements = {task: list(itertools.islice(every, len(one))) for task, one in changed.items()}
    return Comparison(old, new, len(scenes), judgements, tuple(dropped), tuple(added), details, gate, tuple(notes))


def renamed(file: ResultFile, release: Released, new: Released, tokens: Sequence[str]) -> BoxTable:
    """The detections of a release with the classes of the new one; those of classes that it lacks are left out.

    Raises:
        UserError: the file is not of these samples.
    """
    boxes = file.arranged(tokens, MAXIMUM_BOXES)
    known = new.taxonomy.classes
    number_of = np.array([known.index(name) if name in known else -1 for name in release.taxonomy.classes])
    class_index = number_of[boxes.class_index]
    return replace(boxes, class_index=class_index).selected(class_index >= 0)


def _details(scenes: DetectionScenes, matches: tuple[MatchedPredictions, MatchedPredictions]) -> DetectionDetails:
    bare = replace(scenes, slicings=())
    by_keyframe = scenes.by_keyframe()
    of_sample = [scenes.scenes[number] for number in scenes.scene_of_sample]
    old, new = matches
    return DetectionDetails(
        scenes=_places(bare, (old, new), scenes.scenes),
        keyframes=_places(by_keyframe, (old, new), of_sample),
        thresholds=(best_thresholds(scenes, old), best_thresholds(scenes, new)),
    )


def _places(
    scenes: DetectionScenes, matches: tuple[MatchedPredictions, MatchedPredictions], scene_of: Sequence[str]
) -> tuple[Place, ...]:
    old, new = (DetectionMeasure(scenes, found, 1).by_scene() for found in matches)
    places = [
        Place(name, scene, float(before), float(after))
        for name, scene, before, after in zip(scenes.scenes, scene_of, old, new, strict=True)
    ]
    return tuple(sorted((one for one in places if not math.isnan(one.change)), key=lambda one: one.change))
