"""City buses, minibuses and articulated buses.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.bodies.bodywork import GLASS, axle, lamps
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, extruded, merged, pane
from avjepa.synth.bodies.palette import DARK


def _coach(
    rng: np.random.Generator, length: float, width: float, height: float, colour: Colour, stripe: Colour, *, nose: bool
) -> Mesh:
    floor = 0.35
    lean = 0.12 if nose else 0.0
    outline = [
        (-length / 2, floor),
        (-length / 2, height - 0.1),
        (-length / 2 + 0.1, height),
        (length / 2 - 0.15 - lean, height),
        (length / 2 - lean, height - 0.15),
        (length / 2, 0.45 * height),
        (length / 2, floor),
    ]
    parts = [extruded(outline, width, colour, Material.PAINT, bevel=0.06)]
    for side in (-1, 1):
        y = side * (width / 2 + 0.012)
        corners = np.array([(-length / 2, y, 0), (length / 2, y, 0), (length / 2, y, height), (-length / 2, y, height)])
        count = round(length / 1.5)
        for index in range(count):
            span = (0.03 + 0.94 * index / count + 0.004, 0.03 + 0.94 * (index + 1) / count - 0.004)
            door = side < 0 and index in (1, count - 2)
            parts.append(pane(corners, span, (0.16 if door else 0.44, 0.86), (0, 0, 0), GLASS, Material.GLASS))
        parts.append(pane(corners, (0.02, 0.98), (0.24, 0.32), (0, side * -0.006, 0), stripe, Material.PAINT))
    rear = np.array(
        [
            (-length / 2 - 0.012, -width / 2, 0),
            (-length / 2 - 0.012, width / 2, 0),
            (-length / 2 - 0.012, width / 2, height),
            (-length / 2 - 0.012, -width / 2, height),
        ]
    )
    parts.append(pane(rear, (0.12, 0.88), (0.52, 0.85), (0, 0, 0), GLASS, Material.GLASS))
    if nose:
        front = rear * (-1, 1, 1) - (0, 0, 0)
        parts.append(pane(front, (0.06, 0.94), (0.42, 0.84), (0, 0, 0), GLASS, Material.GLASS))
        parts.append(
            box((0.05, 0.7 * width, 0.22), (length / 2 + 0.0, 0, height - 0.22), (0.7, 0.45, 0.05), Material.LAMP)
        )
    parts.append(
        box(
            (min(3.0, 0.3 * length), 0.7 * width, 0.25),
            (-0.15 * length, 0, height + 0.12),
            (0.55, 0.55, 0.55),
            Material.PLASTIC,
        )
    )
    parts += lamps(length, width, 0.7, 0.2)
    return merged(parts)


def _livery(rng: np.random.Generator) -> tuple[Colour, Colour]:
    liveries: tuple[tuple[Colour, Colour], ...] = (
        ((0.70, 0.70, 0.68), (0.05, 0.12, 0.45)),
        ((0.50, 0.03, 0.03), (0.75, 0.75, 0.7)),
        ((0.04, 0.22, 0.12), (0.7, 0.7, 0.3)),
        ((0.60, 0.45, 0.05), (0.1, 0.1, 0.1)),
        ((0.08, 0.18, 0.45), (0.7, 0.7, 0.7)),
        ((0.72, 0.72, 0.70), (0.45, 0.05, 0.05)),
    )
    return liveries[rng.integers(len(liveries))]


def bus(rng: np.random.Generator) -> Mesh:
    """A rigid city bus or a minibus."""
    length = rng.uniform(6.5, 7.5) if rng.random() < 0.15 else rng.uniform(10.0, 12.6)
    width, height = rng.uniform(2.45, 2.6), rng.uniform(2.85, 3.25) if length > 8 else rng.uniform(2.6, 2.8)
    colour, stripe = _livery(rng)
    body = _coach(rng, length, width, height, colour, stripe, nose=True)
    wheels = axle(0.3 * length, width + 0.02, 0.48, 0.3) + axle(-0.27 * length, width + 0.02, 0.48, 0.3)
    return merged([body, *wheels]).on_ground()


def bendy_bus(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """The front and the rear section of an articulated bus; nuScenes annotates each."""
    colour, stripe = _livery(rng)
    width, height = rng.uniform(2.5, 2.6), rng.uniform(2.95, 3.2)
    sections = []
    for nose, length in ((True, rng.uniform(9.5, 10.5)), (False, rng.uniform(7.0, 7.8))):
        body = _coach(rng, length, width, height, colour, stripe, nose=nose)
        wheels = axle(0.3 * length if nose else -0.22 * length, width + 0.02, 0.48, 0.3)
        wheels += axle(-0.28 * length, width + 0.02, 0.48, 0.3) if nose else []
        bellows = box(
            (0.5, width - 0.2, height - 0.6),
            ((-1 if nose else 1) * (length / 2 + 0.15), 0, height / 2 + 0.1),
            DARK,
            Material.CLOTH,
        )
        sections.append(merged([body, *wheels, bellows]).on_ground())
    return sections[0], sections[1]
