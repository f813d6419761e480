"""A comparison as plain values: ``comparison.json``, which tables, pages and release notes are made from."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.evaluate.comparing.comparison import Comparison, Place
from avjepa.evaluate.comparing.gate import Judgement
from avjepa.evaluate.comparing.released import COSTS
from avjepa.files import read_json

FILE = "comparison.json"
_PLACES = 10
"""Scenes and keyframes that are listed, of each kind."""


def as_json(comparison: Comparison, **about: Any) -> dict[str, Any]:
    """All that a comparison says; ``about`` stands at its beginning. Fractions, not per cent."""
    return {
        "format_version": 1,
        **about,
        "old": comparison.old.name,
        "new": comparison.new.name,
        "scenes": comparison.scenes,
        "passed": not comparison.failures,
        "failures": comparison.failures,
        "dropped": list(comparison.dropped),
        "added": list(comparison.added),
        "notes": list(comparison.notes),
        "gate": asdict(comparison.gate),
        "figures": {
            task: [_figure(one) for one in judgements] for task, judgements in comparison.judgements.items()
        },
        "details": {
            task: {
                "worst_scenes": [_place(one) for one in detail.scenes[:_PLACES] if one.change < 0],
                "worst_keyframes": [_place(one) for one in detail.keyframes[:_PLACES] if one.change < 0],
                "best_keyframes": [_place(one) for one in detail.keyframes[::-1][:_PLACES] if one.change > 0],
                "thresholds": {
                    name: [
                        None if name not in of_release else asdict(of_release[name])
                        for of_release in detail.thresholds
                    ]
                    for name in comparison.new.taxonomy.classes
                    if any(name in of_release for of_release in detail.thresholds)
                },
            }
            for task, detail in comparison.details.items()
        },
        "costs": {
            words: [comparison.old.costs.get(name), comparison.new.costs.get(name)]
            for name, words in COSTS.items()
            if name in comparison.old.costs or name in comparison.new.costs
        },
    }  # fmt: skip


def _figure(one: Judgement) -> dict[str, Any]:
    change, item = one.change, one.change.item
    return {
        "figure": item.label, "objects": item.objects, "scenes": item.scenes,
        "old": _known(change.old), "new": _known(change.new), "change": _known(change.value),
        "interval": [_known(end) for end in change.interval],
        "most_loss": one.most_loss, "sure_loss": _known(one.sure_loss), "fails": one.fails, "not_judged": one.reason,
    }  # fmt: skip


def _place(one: Place) -> dict[str, Any]:
    return {"name": one.name, "scene": one.scene, "old": one.old, "new": one.new, "change": one.change}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def read_comparison(path: Path) -> dict[str, Any]:
    """Read what ``avjepa release compare`` wrote.

    Raises:
        UserError: the file is missing or is no comparison.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); run avjepa release compare first") from error
    keys = {"old": str, "new": str, "passed": bool, "failures": list, "figures": dict, "costs": dict, "gate": dict}
    if not isinstance(content, Mapping) or any(not isinstance(content.get(key), kind) for key, kind in keys.items()):
        raise UserError(f"{path}: is no comparison of releases; run avjepa release compare again")
    return dict(content)
