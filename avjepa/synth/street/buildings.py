"""Houses, and the windows in them."""

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, box, painted
from avjepa.synth.bodies.palette import VIVID
from avjepa.synth.street.ground import Ground
from avjepa.synth.street.scenery import Scenery

_WALLS: tuple[Colour, ...] = (
    (0.45, 0.40, 0.33),
    (0.28, 0.13, 0.09),
    (0.55, 0.52, 0.46),
    (0.35, 0.33, 0.31),
    (0.50, 0.36, 0.24),
    (0.22, 0.22, 0.24),
    (0.60, 0.55, 0.42),
    (0.36, 0.20, 0.14),
    (0.40, 0.42, 0.44),
)


def _block(
    scenery: Scenery,
    colour: Colour,
    xy: Array,
    yaw: float,
    size: tuple[float, float, float],
    base: float,
    look: tuple[float, ...],
) -> None:
    length, depth, height = size
    scenery.facade_meshes.append(
        box(size, (0, 0, height / 2), colour, Material.FACADE).moved((xy[0], xy[1], base), yaw)
    )
    scenery.facade_rows.append((xy[0], xy[1], yaw, base, *look, length / 2, depth / 2))


def building(
    rng: np.random.Generator, scenery: Scenery, ground: Ground, xy: Array, yaw: float, length: float, depth: float
) -> None:
    """A house, with a gable or a flat roof, doors, balconies or awnings."""
    height = float(rng.choice((rng.uniform(4, 8), rng.uniform(8, 16), rng.uniform(16, 38)), p=(0.35, 0.45, 0.2)))
    colour = _WALLS[rng.integers(len(_WALLS))]
    shade = rng.uniform(0.7, 1.2)
    colour = (colour[0] * shade, colour[1] * shade, colour[2] * shade)
    look = (rng.uniform(2.7, 3.6), rng.uniform(1.6, 4.2), rng.uniform(0.35, 0.75), rng.uniform(0.35, 0.7))
    base = float(ground.height(xy[None])[0]) - 0.4
    _block(scenery, colour, xy, yaw, (length, depth, height), base, look)
    roof: Colour = ((0.20, 0.09, 0.06), (0.12, 0.12, 0.13), (0.25, 0.24, 0.22))[rng.integers(3)]
    style = rng.random()
    if height < 9 and style < 0.7:
        rise = rng.uniform(1.5, 3.0)
        ridge, half_length, half_depth = height + rise, length / 2 + 0.3, depth / 2 + 0.4
        vertices = [
            (-half_length, -half_depth, height - 0.1),
            (half_length, -half_depth, height - 0.1),
            (half_length, half_depth, height - 0.1),
            (-half_length, half_depth, height - 0.1),
            (-half_length, 0, ridge),
            (half_length, 0, ridge),
        ]
        faces = [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (0, 4, 3), (1, 2, 5)]
        scenery.meshes.append(painted(vertices, faces, roof, Material.CONCRETE).moved((xy[0], xy[1], base), yaw))
    elif height > 14 and style < 0.6:
        _block(scenery, colour, xy, yaw, (0.7 * length, 0.7 * depth, height * rng.uniform(1.15, 1.5)), base, look)
    else:
        scenery.meshes.append(
            box((length + 0.5, depth + 0.5, 0.4), (0, 0, height), roof, Material.CONCRETE).moved(
                (xy[0], xy[1], base), yaw
            )
        )
    front = depth / 2
    for x in np.arange(-length / 2 + 1.5, length / 2 - 1.0, rng.uniform(4, 9)):
        if rng.random() < 0.5:
            scenery.meshes.append(
                box((1.1, 0.12, 2.2), (x, -front - 0.03, 1.5), (0.12, 0.07, 0.04), Material.WOOD).moved(
                    (xy[0], xy[1], base), yaw
                )
            )
        elif height > 7 and rng.random() < 0.6:
            for z in np.arange(3.4, height - 2, 3.2):
                scenery.meshes.append(
                    box((2.2, 0.9, 1.0), (x, -front - 0.45, z), (0.4, 0.4, 0.4), Material.CONCRETE).moved(
                        (xy[0], xy[1], base), yaw
                    )
                )
        else:
            scenery.meshes.append(
                box(
                    (2.6, 0.9, 0.12),
                    (x, -front - 0.45, 3.2),
                    VIVID[rng.integers(len(VIVID))],
                    Material.CLOTH,
                ).moved((xy[0], xy[1], base), yaw)
            )


def skyline(rng: np.random.Generator, scenery: Scenery) -> None:
    """Houses beyond the world's edge, so that the horizon is not bare."""
    for angle in np.arange(0, 2 * np.pi, 0.1):
        if rng.random() < 0.75:
            distance = rng.uniform(215, 330)
            xy = np.array((150 + distance * np.cos(angle), 150 + distance * np.sin(angle)))
            shade = float(rng.uniform(0.2, 0.5))
            look = (3.2, rng.uniform(2, 4), 0.5, 0.5)
            _block(
                scenery,
                (shade, shade, shade),
                xy,
                angle + np.pi / 2,
                (rng.uniform(14, 40), 12.0, rng.uniform(6, 34)),
                -1.0,
                look,
            )
