"""Construction vehicles: excavators with their arm in some pose, wheel loaders, road rollers.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.bodies.bodywork import axle, glazed_cabin
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, extruded, merged, tube
from avjepa.synth.bodies.palette import DARK, STEEL, TYRE


def excavator(rng: np.random.Generator) -> Mesh:
    """A tracked digger with its arm in some pose."""
    yellow: Colour = (0.70, 0.42, 0.02) if rng.random() < 0.7 else (0.62, 0.20, 0.02)
    scale = rng.uniform(0.75, 1.15)
    parts = []
    for side in (-1, 1):
        track = [(-1.9, 0.3), (-1.6, 0.02), (1.6, 0.02), (1.9, 0.3), (1.7, 0.85), (-1.7, 0.85)]
        parts.append(extruded(track, 0.55, TYRE, Material.RUBBER).moved((0, side * 1.05, 0)))
    parts.append(box((1.8, 1.6, 0.35), (0, 0, 0.95), DARK, Material.BARE_METAL))
    upper = [
        box((2.9, 2.3, 0.9), (-0.4, 0, 1.55), yellow, Material.PAINT),
        box((0.7, 2.3, 0.9), (-1.5, 0, 1.7), DARK, Material.BARE_METAL),
    ]
    upper += [
        part.moved((0.35, 0.65, 0))
        for part in glazed_cabin((-0.6, 0.6, 0.45, 1.6), (-0.55, 0.5, 0.42, 2.95), yellow, side_panes=1)
    ]
    shoulder = np.array((0.9, -0.35, 1.8))
    lift, fold = rng.uniform(0.5, 1.1), rng.uniform(-1.4, -0.7)
    elbow = shoulder + 2.6 * np.array((np.cos(lift), 0, np.sin(lift)))
    wrist = elbow + 2.0 * np.array((np.cos(fold), 0, np.sin(fold)))
    upper.append(tube(shoulder, elbow, 0.28, yellow, Material.PAINT, end_radius=0.2, segments=4))
    upper.append(tube(elbow, wrist, 0.2, yellow, Material.PAINT, end_radius=0.14, segments=4))
    upper.append(
        extruded(
            [(-0.4, 0.1), (-0.3, -0.6), (0.3, -0.7), (0.5, -0.2), (0.2, 0.2)], 1.0, DARK, Material.BARE_METAL
        ).moved(wrist)
    )
    parts += [part.moved((0, 0, 0), float(rng.uniform(-0.5, 0.5))) for part in upper]
    whole = merged(parts)
    return Mesh(whole.vertices * np.float32(scale), whole.faces, whole.colour, whole.material).on_ground()


def wheel_loader(rng: np.random.Generator) -> Mesh:
    """A wheeled shovel."""
    yellow: Colour = (0.70, 0.45, 0.03)
    lift = rng.uniform(0.0, 1.2)
    parts = [
        box((2.6, 1.5, 1.0), (-1.4, 0, 1.5), yellow, Material.PAINT),
        box((1.6, 1.2, 0.7), (0.6, 0, 1.1), yellow, Material.PAINT),
    ]
    parts += [
        part.moved((-0.3, 0, 0))
        for part in glazed_cabin((-0.7, 0.7, 0.7, 1.9), (-0.6, 0.6, 0.62, 3.2), yellow, side_panes=1)
    ]
    parts += axle(-1.8, 2.4, 0.72, 0.55) + axle(1.0, 2.4, 0.72, 0.55)
    for side in (-1, 1):
        parts.append(tube((0.8, side * 0.45, 1.6), (2.5, side * 0.45, 0.7 + lift), 0.12, yellow, Material.PAINT))
    parts.append(
        extruded([(2.4, 0.3), (2.5, 1.2), (2.9, 1.3), (3.5, 0.35), (3.4, 0.2)], 2.5, STEEL, Material.BARE_METAL).moved(
            (0, 0, lift)
        )
    )
    return merged(parts).on_ground()


def road_roller(rng: np.random.Generator) -> Mesh:
    """A roller with one drum."""
    yellow: Colour = (0.70, 0.42, 0.03) if rng.random() < 0.6 else (0.1, 0.25, 0.35)
    parts = [tube((1.5, -0.9, 0.7), (1.5, 0.9, 0.7), 0.7, STEEL, Material.BARE_METAL, segments=14)]
    parts += [
        box((2.4, 1.7, 0.9), (-1.0, 0, 1.25), yellow, Material.PAINT),
        box((2.2, 0.12, 0.25), (1.0, 0.98, 0.9), yellow, Material.PAINT),
        box((2.2, 0.12, 0.25), (1.0, -0.98, 0.9), yellow, Material.PAINT),
    ]
    for x, y in ((-0.1, 0.7), (-0.1, -0.7), (-1.3, 0.7), (-1.3, -0.7)):
        parts.append(tube((x, y, 1.6), (x, y, 2.9), 0.05, DARK, Material.BARE_METAL, segments=4))
    parts.append(box((1.7, 1.7, 0.1), (-0.7, 0, 2.95), yellow, Material.PAINT))
    return merged(parts + axle(-1.5, 1.9, 0.65, 0.5)).on_ground()


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """An excavator, a wheel loader or a road roller."""
    kind = rng.choice(3, p=[0.5, 0.3, 0.2])
    return (excavator, wheel_loader, road_roller)[kind](rng)
