"""Which labels the neck and heads of a fine-tuning have learned from, directly or from a teacher that had them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avjepa.errors import counted
from avjepa.training.provenance import read_provenance

_UNKNOWN = "an earlier training, of which nothing is known"
_LONGEST_CHAIN = 5


def learned_by(folder: str) -> str:
    """What the neck and heads of a fine-tuning have learned, in words: labels that it had are labels used.

    So are those of a teacher whose boxes it was taught, and of the training that its own heads started from, as far as
    their folders are still there. Of a file of boxes that lies in no run's folder its name is all that is said.
    """
    return f"neck and heads come from {_training(folder, _LONGEST_CHAIN)}"


def _training(folder: str, deeper: int) -> str:
    try:
        made_with = read_provenance(folder)
        configuration = made_with["configuration"]
        steps, labels = counted(int(made_with["steps"]), "step"), _labels(configuration["data"]["scenes"])
        taught = _taught(configuration["pseudo_labels"], deeper)
        earlier = configuration["model"].get("init_heads")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _UNKNOWN
    before = "" if earlier is None else f", after {_deeper(str(earlier), deeper)}"
    return f"a training of {steps} with {labels}{taught}{before}"


def _labels(scenes: Any) -> str:
    if scenes is None:
        return "all labels"
    number = len(scenes) if isinstance(scenes, list) else int(scenes)
    return f"the labels of {counted(number, 'scene')}" if number else "no labels"


def _taught(boxes: Any, deeper: int) -> str:
    if not boxes:
        return ""
    teacher = _run_of(Path(str(boxes)))
    if teacher is None:
        return f" and the boxes of {Path(str(boxes)).name}"
    return f" and the boxes of a teacher, which comes from {_deeper(str(teacher), deeper)}"


def _deeper(folder: str, deeper: int) -> str:
    return _training(folder, deeper - 1) if deeper else _UNKNOWN


def _run_of(predictions: Path) -> Path | None:
    """The run in whose folder ``avjepa evaluate`` has written a file, if it lies in one."""
    for parent in predictions.parents:
        try:
            made_with = read_provenance(parent)
        except (OSError, ValueError):
            continue
        if isinstance(made_with, Mapping) and made_with.get("command") == "finetune":
            return parent
    return None
