"""Colours that several kinds of thing share."""

import numpy as np

from avjepa.synth.bodies.mesh import Colour

TYRE: Colour = (0.015, 0.015, 0.016)
DARK: Colour = (0.03, 0.03, 0.032)
STEEL: Colour = (0.30, 0.30, 0.31)
VIVID: tuple[Colour, ...] = (
    (0.5, 0.03, 0.03),
    (0.03, 0.12, 0.45),
    (0.6, 0.45, 0.03),
    (0.05, 0.3, 0.12),
    (0.5, 0.5, 0.5),
    (0.35, 0.15, 0.05),
)
ORANGE: Colour = (0.80, 0.20, 0.02)
WHITE: Colour = (0.75, 0.75, 0.73)


def vivid(rng: np.random.Generator) -> Colour:
    """One of the strong colours of things that people paint."""
    return VIVID[rng.integers(len(VIVID))]


_GREENS: tuple[Colour, ...] = (
    (0.05, 0.12, 0.03),
    (0.08, 0.16, 0.04),
    (0.10, 0.14, 0.03),
    (0.04, 0.09, 0.03),
    (0.14, 0.15, 0.04),
)


def green(rng: np.random.Generator) -> Colour:
    """One of the greens of plants."""
    return _GREENS[rng.integers(len(_GREENS))]
