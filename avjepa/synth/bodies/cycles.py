"""Bicycles and motorcycles, with and without a rider.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Mesh, box, ellipsoid, merged, ring, tube
from avjepa.synth.bodies.palette import STEEL, TYRE
from avjepa.synth.bodies.people import CLOTHES, Looks, pick, seated, shifted


def bicycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """A bicycle, sometimes with a basket or a child's seat; with a rider on it or not."""
    radius, base = rng.uniform(0.31, 0.36), rng.uniform(0.98, 1.1)
    colour = pick(rng, CLOTHES)
    front, rear = np.array((base / 2, 0, radius)), np.array((-base / 2, 0, radius))
    crank, saddle, head = np.array((-0.05, 0, 0.3)), np.array((-0.22, 0, 0.92)), np.array((0.36, 0, 0.85))
    parts = [ring((x, 0, radius), radius, 0.045, 0.05, TYRE, Material.RUBBER, 11) for x in (front[0], rear[0])]
    for start, end in (
        (crank, saddle),
        (crank, head),
        (saddle - (0, 0, 0.12), head),
        (rear, crank),
        (rear, saddle - (0, 0, 0.1)),
        (front, shifted(head, -0.02, 0.0, 0.12)),
    ):
        parts.append(tube(start, end, 0.022, colour, Material.BARE_METAL, segments=5))
    parts.append(box((0.26, 0.14, 0.06), shifted(saddle, 0.0, 0.0, 0.02), TYRE, Material.PLASTIC))
    parts.append(
        tube(
            shifted(head, 0.0, -0.27, 0.15),
            shifted(head, 0.0, 0.27, 0.15),
            0.018,
            STEEL,
            Material.BARE_METAL,
            segments=4,
        )
    )
    if rng.random() < 0.4:
        parts.append(box((0.3, 0.36, 0.25), shifted(head, 0.22, 0.0, 0.05), (0.2, 0.15, 0.1), Material.WOOD))
    if rng.random() < 0.2:
        parts.append(box((0.25, 0.3, 0.45), shifted(rear, 0.08, 0.0, 0.6), pick(rng, CLOTHES), Material.PLASTIC))
    if rider:
        body = seated(Looks(rng), 0.98, lean=float(rng.uniform(0.25, 0.8)), reach=(0.56, 1.02), feet=0.2)
        parts.append(body.moved((-0.22, 0, 0)))
    return merged(parts).on_ground()


def motorcycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """A motorcycle or a scooter, with a rider on it or not."""
    radius, base = rng.uniform(0.27, 0.33), rng.uniform(1.25, 1.5)
    colour = pick(rng, CLOTHES)
    scooter = rng.random() < 0.4
    parts = [ring((x, 0, radius), radius, 0.13, 0.12, TYRE, Material.RUBBER, 10) for x in (-base / 2, base / 2)]
    parts.append(tube((base / 2, 0, radius), (base / 2 - 0.3, 0, 0.98), 0.05, STEEL, Material.BARE_METAL, segments=5))
    parts.append(
        tube((base / 2 - 0.3, -0.36, 1.0), (base / 2 - 0.3, 0.36, 1.0), 0.02, STEEL, Material.BARE_METAL, segments=4)
    )
    parts.append(box((0.1, 0.16, 0.16), (base / 2 - 0.17, 0, 0.85), (0.85, 0.85, 0.8), Material.LAMP))
    if scooter:
        parts.append(box((0.1, 0.42, 0.6), (base / 2 - 0.32, 0, 0.6), colour, Material.PAINT))
        parts.append(box((0.5, 0.34, 0.12), (0.05, 0, 0.3), colour, Material.PAINT))
        parts.append(box((0.75, 0.36, 0.42), (-0.45, 0, 0.52), colour, Material.PAINT, top=(0.85, 0.7)))
    else:
        parts.append(ellipsoid((0.35, 0.17, 0.17), (0.18, 0, 0.78), colour, Material.PAINT))
        parts.append(box((0.55, 0.3, 0.38), (0.05, 0, 0.42), STEEL, Material.BARE_METAL))
        parts.append(
            tube((-0.1, -0.2, 0.35), (-base / 2 - 0.15, -0.22, 0.42), 0.05, STEEL, Material.BARE_METAL, segments=6)
        )
    parts.append(box((0.7, 0.26, 0.1), (-0.35, 0, 0.77), TYRE, Material.PLASTIC))
    if rng.random() < 0.35:
        parts.append(box((0.4, 0.42, 0.36), (-base / 2 - 0.05, 0, 0.98), pick(rng, CLOTHES), Material.PLASTIC))
    if rider:
        looks = Looks(rng)
        looks.helmet = pick(rng, CLOTHES)
        parts.append(
            seated(looks, 0.85, lean=float(rng.uniform(0.1, 0.5)), reach=(base / 2 + 0.0, 1.0), feet=0.25).moved(
                (-0.3, 0, 0)
            )
        )
    return merged(parts).on_ground()
