"""What road vehicles are assembled from: paint, wheels, lamps, cabins."""

import itertools

import numpy as np

from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, merged, pane, tube
from avjepa.synth.bodies.palette import TYRE

_PAINTS: tuple[Colour, ...] = (
    (0.75, 0.75, 0.74),
    (0.72, 0.73, 0.76),
    (0.38, 0.39, 0.40),
    (0.16, 0.17, 0.18),
    (0.02, 0.02, 0.025),
    (0.03, 0.03, 0.03),
    (0.40, 0.02, 0.02),
    (0.25, 0.03, 0.03),
    (0.03, 0.07, 0.30),
    (0.04, 0.10, 0.18),
    (0.05, 0.16, 0.08),
    (0.55, 0.47, 0.33),
    (0.60, 0.40, 0.05),
    (0.45, 0.16, 0.04),
    (0.10, 0.25, 0.35),
)
_PAINT_SHARE = np.array([6, 4, 4, 4, 4, 3, 2, 1, 2, 1, 0.6, 1, 0.7, 0.5, 0.6])
_LORRY_PAINTS: tuple[Colour, ...] = (
    (0.78, 0.78, 0.76),
    (0.70, 0.72, 0.74),
    (0.05, 0.10, 0.40),
    (0.45, 0.03, 0.03),
    (0.62, 0.45, 0.04),
    (0.05, 0.22, 0.10),
    (0.30, 0.31, 0.33),
    (0.50, 0.20, 0.04),
)
GLASS: Colour = (0.03, 0.04, 0.05)
_RIM: Colour = (0.35, 0.35, 0.36)
WHITE_LAMP: Colour = (0.85, 0.85, 0.80)
RED_LAMP: Colour = (0.55, 0.02, 0.02)


def paint(rng: np.random.Generator) -> Colour:
    """Paint of a car."""
    red, green, blue = _PAINTS[rng.choice(len(_PAINTS), p=_PAINT_SHARE / _PAINT_SHARE.sum())]
    shade = rng.uniform(0.8, 1.15)
    return red * shade, green * shade, blue * shade


def lorry_paint(rng: np.random.Generator) -> Colour:
    """Paint of a lorry or of what it carries."""
    return _LORRY_PAINTS[rng.integers(len(_LORRY_PAINTS))]


def wheel(x: float, y: float, radius: float, width: float) -> Mesh:
    """A tyre with a brighter rim that stands on z = 0, its axis along y."""
    tyre = tube((x, y - width / 2, radius), (x, y + width / 2, radius), radius, TYRE, Material.RUBBER, segments=9)
    half = width / 2 + 0.006
    rim = tube((x, y - half, radius), (x, y + half, radius), 0.6 * radius, _RIM, Material.BARE_METAL, segments=6)
    return merged((tyre, rim))


def axle(x: float, track: float, radius: float = 0.33, width: float = 0.22) -> list[Mesh]:
    """The two wheels at ``x`` whose outer sides are ``track`` metres apart."""
    offset = track / 2 - width / 2
    return [wheel(x, -offset, radius, width), wheel(x, offset, radius, width)]


def lamps(length: float, width: float, height: float, size: float) -> list[Mesh]:
    """Head lamps, tail lamps and number plates of a body of the given length and width."""
    parts = []
    for side in (-1, 1):
        y = side * (width / 2 - 0.22 * width / 1.8)
        parts.append(box((0.08, size * 1.6, size), (length / 2 - 0.06, y, height), WHITE_LAMP, Material.LAMP))
        parts.append(box((0.08, size * 1.4, size), (-length / 2 + 0.06, y, height * 1.1), RED_LAMP, Material.LAMP))
    for end in (-1, 1):
        parts.append(
            box(
                (0.03, 0.5, 0.12),
                (end * (length / 2 + 0.005), 0, 0.6 * height),
                (0.7, 0.7, 0.65),
                Material.RETROREFLECTOR,
            )
        )
    return parts


def glazed_cabin(
    base: tuple[float, float, float, float],
    roof: tuple[float, float, float, float],
    colour: Colour,
    side_panes: int = 2,
    margin: float = 0.06,
) -> list[Mesh]:
    """A tapering cabin with a windscreen, a rear window and ``side_panes`` windows per side.

    Args:
        base: rear x, front x, half width, z of its lower edge.
        roof: the same of its upper edge.
        colour: paint of roof and pillars.
        side_panes: windows per side.
        margin: height of the frame, as a fraction of the side.
    """
    rear, front, half, low = base
    roof_rear, roof_front, roof_half, high = roof
    lower = [(rear, -half, low), (front, -half, low), (front, half, low), (rear, half, low)]
    upper = [
        (roof_rear, -roof_half, high),
        (roof_front, -roof_half, high),
        (roof_front, roof_half, high),
        (roof_rear, roof_half, high),
    ]
    parts = []
    outward = [(0, -0.01, 0), (0.01, 0, 0.004), (0, 0.01, 0), (-0.01, 0, 0.004)]
    for side in range(4):
        following = (side + 1) % 4
        corners = np.array([lower[side], lower[following], upper[following], upper[side]])
        parts.append(pane(corners, (0.0, 1.0), (0.0, 1.0), (0, 0, 0), colour, Material.PAINT))
        count = side_panes if side in (0, 2) else 1
        edges = np.linspace(0.04, 0.96, count + 1)
        for start, end in itertools.pairwise(edges):
            window = (float(start) + 0.02, float(end) - 0.02)
            parts.append(pane(corners, window, (margin, 1 - margin), outward[side], GLASS, Material.GLASS))
    parts.append(pane(np.array(upper), (0.0, 1.0), (0.0, 1.0), (0, 0, 0), colour, Material.PAINT))
    return parts
