"""Trees, bushes, hedges, and the walls and fences that stand in for them."""

import numpy as np

from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, foliage, merged, painted, tube
from avjepa.synth.bodies.palette import green, vivid


def tree(rng: np.random.Generator) -> Mesh:
    """A broad-leaved tree or a conifer; the trunk stands on the origin."""
    height = rng.uniform(4.5, 9.5)
    trunk = rng.uniform(0.10, 0.26)
    bark: Colour = (0.10, 0.07, 0.045)
    colour = green(rng)
    parts = [tube((0, 0, 0), (0, 0, 0.55 * height), trunk, bark, Material.WOOD, end_radius=0.6 * trunk, segments=6)]
    if rng.random() < 0.25:
        for level, width in ((0.25, 1.7), (0.45, 1.3), (0.65, 0.9)):
            parts.append(
                tube(
                    (0, 0, level * height),
                    (0, 0, min(1.0, level + 0.38) * height),
                    width,
                    colour,
                    Material.FOLIAGE,
                    end_radius=0.1,
                    segments=8,
                )
            )
        return merged(parts)
    for _ in range(int(rng.integers(3, 6))):
        radii = rng.uniform((1.0, 1.0, 0.8), (2.0, 2.0, 1.6)) * height / 7
        centre = rng.uniform((-1.1, -1.1, 0.55 * height), (1.1, 1.1, 0.85 * height))
        parts.append(foliage(rng, radii, centre, colour))
    return merged(parts)


def bush(rng: np.random.Generator, *, car_sized: bool) -> Mesh:
    """A bush; the car-sized one is as long, wide and high as a parked car."""
    size = rng.uniform((3.6, 1.6, 1.3), (4.8, 2.0, 1.8)) if car_sized else rng.uniform((0.8, 0.8, 0.7), (1.6, 1.5, 1.6))
    parts = []
    for x in np.linspace(-0.5, 0.5, 4 if car_sized else 2) * (0.75 * size[0]):
        radii = np.array((0.3 * size[0] if car_sized else 0.5 * size[0], 0.5 * size[1], 0.55 * size[2]))
        parts.append(foliage(rng, radii, (x, rng.uniform(-0.1, 0.1), 0.48 * size[2]), green(rng)))
    return merged(parts).on_ground()


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """A clipped hedge along x."""
    height, width = rng.uniform(0.9, 2.0), rng.uniform(0.6, 1.1)
    parts = [box((length, width, height), (0, 0, height / 2), green(rng), Material.FOLIAGE, top=(0.99, 0.85))]
    for x in np.arange(-length / 2 + 0.5, length / 2 - 0.4, 1.1):
        parts.append(foliage(rng, (0.75, 0.56 * width, 0.3), (x, 0, height - 0.1), green(rng), detail=0))
    return merged(parts)


def wall(rng: np.random.Generator, length: float) -> Mesh:
    """A garden wall along x: masonry, or a fence of boards."""
    height = rng.uniform(1.0, 2.6)
    if rng.random() < 0.6:
        colour: Colour = ((0.30, 0.14, 0.09), (0.42, 0.40, 0.36), (0.55, 0.52, 0.45))[rng.integers(3)]
        return merged(
            (
                box((length, 0.25, height), (0, 0, height / 2), colour, Material.CONCRETE),
                box((length, 0.35, 0.1), (0, 0, height), (0.4, 0.4, 0.38), Material.CONCRETE),
            )
        )
    parts = [box((length, 0.05, height - 0.2), (0, 0, height / 2 + 0.1), (0.22, 0.14, 0.07), Material.WOOD)]
    parts += [
        box((0.12, 0.12, height + 0.1), (x, 0, height / 2), (0.16, 0.10, 0.05), Material.WOOD)
        for x in np.arange(-length / 2, length / 2 + 0.1, 2.0)
    ]
    return merged(parts)


def planter(rng: np.random.Generator) -> Mesh:
    """A concrete tub with a shrub in it."""
    length = rng.uniform(0.9, 2.2)
    tub = box((length, 0.8, 0.5), (0, 0, 0.25), (0.38, 0.36, 0.33), Material.CONCRETE, top=(1.05, 1.05))
    return merged((tub, foliage(rng, (0.45 * length, 0.35, 0.4), (0, 0, 0.7), green(rng))))


def hoarding(rng: np.random.Generator, length: float) -> Mesh:
    """The fence of a building site along x: it hides what passes behind it."""
    colour = vivid(rng)
    panel = painted(
        [(-length / 2, 0, 0), (length / 2, 0, 0), (length / 2, 0, 2.2), (-length / 2, 0, 2.2)],
        [(0, 1, 2), (0, 2, 3)],
        colour,
        Material.WOOD,
    )
    posts = [
        box((0.1, 0.1, 2.3), (x, 0.08, 1.15), (0.3, 0.25, 0.18), Material.WOOD)
        for x in np.arange(-length / 2, length / 2 + 0.1, 2.4)
    ]
    return merged([panel, *posts])
