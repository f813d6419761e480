"""Colours that readers with a colour vision deficiency tell apart."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from avjepa.data.taxonomy import load_taxonomy
from avjepa.report.style import CANVAS, CLASS_COLOURS, INK, METHOD_COLOURS, class_colours

CLASSES = load_taxonomy("nuscenes").classes

# severity 1.0, in linear RGB: Machado, Oliveira and Fernandes, 2009, table 1
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colour: str) -> np.ndarray:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D65."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = matrix @ rgb / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(colour: str) -> float:
    return float(linear(colour) @ np.array([0.2126729, 0.7151522, 0.072175]))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("palette", "distance"), [(CLASS_COLOURS, 16.0), (METHOD_COLOURS, 20.0)])
def test_colours_stay_apart(palette: dict[str, str], distance: float, vision: str) -> None:
    seen = {name: lab(np.clip(VISION[vision] @ linear(colour), 0, 1)) for name, colour in palette.items()}
    for one, other in combinations(palette, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > distance, (one, other)


def test_every_class_has_a_colour_that_shows_on_the_canvas() -> None:
    assert tuple(CLASS_COLOURS) == CLASSES
    for name, colour in CLASS_COLOURS.items():  # WCAG 2.1, 1.4.11: 3 : 1 for graphics
        assert (luminance(colour) + 0.05) / (luminance(CANVAS) + 0.05) > 4.5, name


def test_charts_read_on_white_and_on_dark_paper() -> None:
    assert 1.05 / (luminance(INK) + 0.05) > 7
    for name, colour in METHOD_COLOURS.items():
        assert 1.05 / (luminance(colour) + 0.05) > 2.5, name
        assert (luminance(colour) + 0.05) / (luminance("#12171e") + 0.05) > 3, name


def test_classes_that_nuscenes_does_not_have_get_colours_too() -> None:
    colours = class_colours(("tram", "car", "horse"))
    assert colours[1] == CLASS_COLOURS["car"]
    assert len(set(colours)) == 3
