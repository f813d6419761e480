"""Whether a release may go out: no figure may be worse by more than a margin, as far as the scenes can tell.

Two things make the scores of two releases differ that are equally good. One is which scenes were recorded: the
bootstrap over scenes measures it. The other is chance in training: releases that differ by the seed alone find other
objects, on any scenes, and no choice of scenes shows how much. That is what the margins are for.

A figure fails if its loss is *surely* more than its margin: the lower end of a one-sided interval is. Many figures are
looked at, and without more ado one in twenty of them would fail by chance. The intervals hold for all figures at once:
they are as wide as the largest of the standardised deviations of all figures in a draw demands (max-T, Westfall and
Young 1993), which takes into account that classes and slices go together; for figures that stand on few scenes they are
widened as Student's t is against the normal distribution. Half of the permitted error is kept for the
headlines, so that looking at many parts does not blunt what is said of the whole.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

import avjepa
from avjepa.data.strict_yaml import YamlFile
from avjepa.errors import UserError
from avjepa.evaluate.comparing.changes import Change

HEADLINES = ("mAP", "mAP by boxes", "mIoU", "rank1")
"""Figures of a task as a whole, by their names in a gate."""
PARTS = ("class", "slice", "IoU")
"""Figures of its parts: AP of a class, mAP of a slice, IoU of a segmented class."""
PACKAGED = Path(avjepa.__file__).resolve().parent / "configs" / "release" / "gate.yaml"


@dataclass(frozen=True)
class Gate:
    """What a release has to keep.

    Attributes:
        confidence: probability, at least, that a release passes of which no figure lost more than its margin.
        most_loss: the margin of each of ``HEADLINES`` and ``PARTS``, as a fraction.
        fewest_objects: figures that stand on fewer boxes or events are reported and not judged.
        fewest_scenes: figures that stand on fewer scenes are not judged either.
        draws: how many times scenes are drawn anew.
        seed: of the draws.
    """

    confidence: float
    most_loss: Mapping[str, float]
    fewest_objects: int
    fewest_scenes: int
    draws: int
    seed: int


def load_gate(path: Path) -> Gate:
    """A gate from its YAML file; see ``configs/release/gate.yaml``.

    Raises:
        UserError: the file is missing or something in it is wrong: one line that names the key.
    """
    if not path.is_file():
        raise UserError(f"--gate {path}: no such file; give a YAML file as configs/release/gate.yaml is one")
    file = YamlFile(path, ("confidence", "most_loss", "fewest_objects", "fewest_scenes", "draws", "seed"))
    content = file.content
    losses = file.mapping(content["most_loss"], "most_loss", (*HEADLINES, *PARTS))
    confidence = file.positive(content["confidence"], "confidence")
    if not 0.5 <= confidence < 1:
        raise file.wrong("confidence", f"must be at least 0.5 and below 1, got {confidence:g}")
    for name, value in losses.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise file.wrong(
                f"most_loss: {name}", f"must be a number from 0 to 1 (0.02 is 2 points), got {value!s:.20}"
            )
    counts = {}
    for name, least in (("fewest_objects", 1), ("fewest_scenes", 2), ("draws", 100), ("seed", 0)):
        value = content[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1_000_000:
            raise file.wrong(name, f"must be a whole number from {least:,} to 1,000,000, got {value!s:.20}")
        counts[name] = value
    if counts["draws"] * (1 - confidence) < 10:
        raise file.wrong("draws", f"{counts['draws']} are too few for a confidence of {confidence:g}; draw more often")
    return Gate(confidence, {name: float(value) for name, value in losses.items()}, **counts)


@dataclass(frozen=True)
class Judgement:
    """What a gate says of one figure.

    Attributes:
        change: of the figure.
        most_loss: what it may lose.
        sure_loss: what it lost at least, with the confidence of the gate over all figures at once; NaN if not judged.
        reason: why it is not judged; empty if it is.
    """

    change: Change
    most_loss: float
    sure_loss: float
    reason: str = ""

    @property
    def fails(self) -> bool:
        """Whether it surely lost more than it may."""
        return self.sure_loss > self.most_loss


def kind_of(change: Change) -> str:
    """The key of a gate that a figure falls under."""
    group = change.item.group
    return group if group in (*HEADLINES, *PARTS) else "slice"


def judged(changes: Sequence[Change], gate: Gate) -> list[Judgement]:
    """What the gate says of each figure."""
    reasons = [_not_judged(change, gate) for change in changes]
    families: dict[bool, list[Change]] = {True: [], False: []}
    for change, reason in zip(changes, reasons, strict=True):
        if not reason:
            families[kind_of(change) in HEADLINES].append(change)
    error = (1 - gate.confidence) / max(1, sum(bool(family) for family in families.values()))
    widths = {headline: _width(family, error) for headline, family in families.items()}
    result = []
    for change, reason in zip(changes, reasons, strict=True):
        kind = kind_of(change)
        width = widths[kind in HEADLINES]
        sure = math.nan if reason else -change.value - _few_scenes(width, change.item.scenes) * change.standard_error
        result.append(Judgement(change, gate.most_loss[kind], sure, reason))
    return result


def _not_judged(change: Change, gate: Gate) -> str:
    item = change.item
    if item.objects < gate.fewest_objects:
        return f"under {gate.fewest_objects} objects"
    if item.scenes < gate.fewest_scenes:
        return f"under {gate.fewest_scenes} scenes"
    return ""


def _width(family: Sequence[Change], error: float) -> float:
    """How many standard errors an interval is wide so that all of a family hold but for a share ``error`` of draws."""
    deviations = [
        (change.value - change.draws) / change.standard_error for change in family if change.standard_error > 0
    ]
    if not deviations:
        return 0.0
    largest = np.nan_to_num(np.stack(deviations)).max(axis=0)
    return float(max(0.0, np.quantile(largest, 1 - error)))


def _few_scenes(width: float, scenes: int) -> float:
    """The width with which a standard error from so few scenes gives the same confidence: of Student's t."""
    return float(stats.t.isf(stats.norm.sf(width), scenes - 1))
