"""``avjepa finetune --pseudo_labels FILE``: a teacher's boxes, or what sweeps alone show, where labels are not used."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.pseudo_labels import PseudoLabels
from avjepa.errors import UserError, counted
from avjepa.evaluate.detection.detected_boxes import DetectedBoxes
from avjepa.evaluate.detection.fast import MAXIMUM_BOXES
from avjepa.ranges import require_number
from avjepa.training.console import status

OPTION = "--pseudo_labels"
LEAST_SCORE = 0.3
"""By default."""


class NoBoxError(UserError):
    """No box is sure enough to be taught.

    Args:
        option: with its file.
        best: what boxes there are instead, in words.
    """

    def __init__(self, option: str, best: str) -> None:
        self.best = best
        super().__init__(
            f"{option}: no box reaches --pseudo_score, {best}, so that these scenes would teach that nothing is there; "
            "lower it, or find better boxes"
        )


def pseudo_labels(file: Path, least: float | Mapping[str, float], data: DetectionDataModule) -> PseudoLabels:
    """The boxes of a result file as labels of the training scenes that it lists wholly and whose labels are not used.

    Args:
        file: of the detection task, as ``avjepa evaluate`` and ``avjepa pseudo-objects`` write it.
        least: score from which on a box is a label; by class, the others at .3.
        data: what is trained on.

    Raises:
        UserError: the file cannot be read or lists none of these scenes; a score is none; or data options do not go
            together with it.
    """
    if file.is_dir():
        raise UserError(f"{OPTION} {file}: is a folder; name the file in it, as in {file / 'predictions.json'}")
    for option, given in (("gt_sampling", data.gt_sampling), ("clips", data.clips)):
        if given is not None:
            raise UserError(f"data.{option}: needs annotated boxes in all training scenes; leave it or {OPTION} out")
    if data.class_balanced:
        raise UserError(f"data.class_balanced: counts annotated boxes of all training scenes; leave it or {OPTION} out")
    by_class = least if isinstance(least, Mapping) else {}
    otherwise = LEAST_SCORE if isinstance(least, Mapping) else float(least)
    classes = data.taxonomy.classes
    for name, score in {**by_class, "": otherwise}.items():
        if name and name not in classes:
            raise UserError(f"--pseudo_score {name}: is none of the classes {', '.join(classes)}")
        require_number(f"--pseudo_score {name}".strip(), score, at_least=0, at_most=1)
    source = data.open()
    data.source = source
    boxes = DetectedBoxes(file, source)
    annotated = set(data.annotated_scenes())
    others = [scene for scene in source.scenes_of(data.train_split) if scene not in annotated]
    covered = [scene for scene in others if all(boxes.lists(token) for token in source.keyframe_tokens([scene]))]
    if not covered:
        beside = f"beside the {counted(len(annotated), 'scene')} whose labels are used" if annotated else "wholly"
        fewer = ", or use fewer data.scenes" if annotated else ""
        raise UserError(
            f"{OPTION} {file}: lists no scene of {data.train_split} {beside}; predict that split (avjepa evaluate or "
            f"avjepa pseudo-objects with --split {data.train_split}){fewer}"
        )
    of_index = {classes.index(name): float(score) for name, score in by_class.items()}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = PseudoLabels(boxes, frozenset(covered), of_index, otherwise, digest)
    _say_what_is_kept(found, boxes, data, f"{OPTION} {file}", len(annotated))
    return found


def _say_what_is_kept(
    found: PseudoLabels, boxes: DetectedBoxes, data: DetectionDataModule, option: str, annotated: int
) -> None:
    """How many boxes of which classes are taught; raise where there are none or too many, or where a score is none."""
    assert data.source is not None
    moments = data.source.moments(sorted(found.scenes), keyframes_only=True).tolist()
    scores_of = [boxes(moment).scores for moment in moments]
    for moment, listed in zip(moments, scores_of, strict=True):
        if len(listed) > MAXIMUM_BOXES:
            raise UserError(
                f"{option}: keyframe {data.source.token_of(moment)} has {len(listed):,} boxes, and a result file holds "
                f"at most {MAXIMUM_BOXES} of each; predict again with fewer"
            )
    scores = torch.cat(scores_of)
    if len(scores) and not bool(((scores >= 0) & (scores <= 1)).all()):
        raise UserError(f"{option}: has scores that are not between 0 and 1; predict again")
    kept = torch.cat([found.labels(moment).class_index for moment in moments]).bincount().tolist()
    named = ", ".join(f"{data.taxonomy.classes[index]} {count:,}" for index, count in enumerate(kept) if count)
    if not named:
        best = f"the best of them is {float(scores.max()):.2f}" if len(scores) else "there is no box at all"
        raise NoBoxError(option, best)
    if annotated:
        where = f"labels of {counted(annotated, 'scene')}; on {counted(len(found.scenes), 'other scene')}"
    else:
        where = f"labels of no scene; on {counted(len(found.scenes), 'scene')}"
    status(f"{where} the boxes of {option.partition(' ')[2]}: {named}")
