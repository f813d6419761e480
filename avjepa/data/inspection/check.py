"""What one check of a data set found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from avjepa.data.arrays import Array

ENOUGH = 20
"""Boxes without which nothing is said of their conventions."""

Cell: TypeAlias = str | int | float
"""Of a table."""


@dataclass(frozen=True)
class Check:
    """One question, what was measured, and what is off."""

    name: str
    measured: str
    """A sentence with the figures."""
    verdicts: tuple[str, ...] = ()
    """What is off, each with its remedy; empty of a sound data set."""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    """A table beside the sentence."""


def share(holds: Sequence[bool] | Array) -> float:
    """The share of things that something holds for; 0 of nothing."""
    return float(np.mean(holds)) if len(holds) else 0.0


def per_cent(value: float) -> str:
    """A share in words."""
    return f"{100 * value:.0f} %"
