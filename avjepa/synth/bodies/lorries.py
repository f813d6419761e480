"""Trucks and trailers.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.bodies.bodywork import RED_LAMP, WHITE_LAMP, axle, glazed_cabin, lamps, lorry_paint, paint
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, extruded, merged, tube
from avjepa.synth.bodies.palette import DARK, STEEL


def _cab(
    rng: np.random.Generator, front: float, width: float, height: float, length: float, colour: Colour
) -> list[Mesh]:
    """A lorry's cab whose nose is at x = ``front``."""
    rake = rng.uniform(0.02, 0.25)
    body = extruded(
        [
            (front - length, 0.5),
            (front - length, 0.45 * height),
            (front - 0.02, 0.45 * height),
            (front, 0.4 * height),
            (front, 0.42),
        ],
        width,
        colour,
        Material.PAINT,
        bevel=0.04,
    )
    cabin = glazed_cabin(
        (front - length, front - 0.03, width / 2 - 0.02, 0.45 * height),
        (front - length, front - 0.03 - rake, width / 2 - 0.08, height),
        colour, side_panes=1, margin=0.12,
    )  # fmt: skip
    bumper = box((0.15, width, 0.35), (front - 0.05, 0, 0.55), DARK, Material.PLASTIC)
    headlamps = [
        box((0.06, 0.28, 0.16), (front + 0.01, side * (width / 2 - 0.3), 0.8), WHITE_LAMP, Material.LAMP)
        for side in (-1, 1)
    ]
    mirrors = [
        box((0.1, 0.18, 0.4), (front - 0.1, side * (width / 2 + 0.06), 0.7 * height), DARK, Material.PLASTIC)
        for side in (-1, 1)
    ]
    return [body, *cabin, bumper, *headlamps, *mirrors]


def _pickup(rng: np.random.Generator) -> list[Mesh]:
    length, width, height = rng.uniform(5.1, 5.8), rng.uniform(1.85, 2.0), rng.uniform(1.75, 1.9)
    colour = paint(rng)
    outline = [(-0.5, 0.25), (-0.5, 0.55), (-0.1, 0.56), (0.2, 0.58), (0.44, 0.54), (0.5, 0.40), (0.5, 0.22)]
    parts = [extruded([(x * length, z * height) for x, z in outline], width, colour, Material.PAINT, bevel=0.05)]
    parts += glazed_cabin(
        (-0.12 * length, 0.24 * length, 0.47 * width, 0.54 * height),
        (-0.08 * length, 0.1 * length, 0.39 * width, height),
        colour,
    )
    for side in (-1, 1):
        parts.append(
            box(
                (0.37 * length, 0.07, 0.3),
                (-0.31 * length, side * (width / 2 - 0.06), 0.62 * height),
                colour,
                Material.PAINT,
            )
        )
    parts.append(box((0.07, width - 0.1, 0.3), (-0.49 * length, 0, 0.62 * height), colour, Material.PAINT))
    if rng.random() < 0.5:
        parts.append(box((1.2, 1.2, 0.5), (-0.3 * length, 0, 0.75 * height), (0.25, 0.18, 0.1), Material.WOOD))
    return (
        parts
        + axle(-0.31 * length, width, 0.38)
        + axle(0.33 * length, width, 0.38)
        + lamps(length, width, 0.45 * height, 0.15)
    )


def truck(rng: np.random.Generator) -> Mesh:
    """A box, flat-bed, tanker, dump or pick-up truck."""
    style = str(rng.choice(["box", "flatbed", "tanker", "dump", "pickup"], p=[0.42, 0.16, 0.1, 0.16, 0.16]))
    if style == "pickup":
        return merged(_pickup(rng)).on_ground()
    length, width, height = rng.uniform(5.8, 10.5), rng.uniform(2.2, 2.55), rng.uniform(2.7, 3.7)
    cab_length, cab_height = rng.uniform(1.6, 2.3), rng.uniform(2.3, min(3.0, height))
    front, rear = length / 2, -length / 2
    bed_end = front - cab_length - 0.15
    bed = bed_end - rear
    middle = (bed_end + rear) / 2
    deck = rng.uniform(0.95, 1.15)
    cargo = lorry_paint(rng)
    parts = _cab(rng, front, width - 0.1, cab_height, cab_length, lorry_paint(rng))
    parts.append(box((length - 0.6, 0.9, 0.3), (-0.2, 0, deck - 0.2), DARK, Material.BARE_METAL))
    if style == "box":
        parts.append(box((bed, width, height - deck), (middle, 0, (height + deck) / 2), cargo, Material.PAINT))
        parts.append(
            box(
                (0.02, width - 0.2, height - deck - 0.2),
                (rear - 0.012, 0, (height + deck) / 2),
                (0.5, 0.5, 0.5),
                Material.PAINT,
            )
        )
    elif style == "flatbed":
        parts.append(box((bed, width, 0.18), (middle, 0, deck), (0.20, 0.14, 0.08), Material.WOOD))
        parts.append(box((0.12, width, 1.1), (bed_end - 0.06, 0, deck + 0.6), STEEL, Material.BARE_METAL))
        for _ in range(int(rng.integers(1, 5))):
            load = rng.uniform((0.8, 0.8, 0.4), (2.2, width - 0.3, 1.4))
            at = rng.uniform(rear + load[0] / 2, bed_end - load[0] / 2)
            shade = float(rng.uniform(0.1, 0.5))
            parts.append(
                box(load, (at, 0, deck + 0.09 + load[2] / 2), (shade, 0.8 * shade, 0.6 * shade), Material.WOOD)
            )
    elif style == "tanker":
        radius = min(width / 2, (height - deck) / 2 + 0.1)
        parts.append(
            tube(
                (rear, 0, deck + radius),
                (bed_end, 0, deck + radius),
                radius,
                (0.6, 0.6, 0.62),
                Material.BARE_METAL,
                segments=14,
            )
        )
    else:
        rim, floor = deck + rng.uniform(1.0, 1.6), deck
        parts.append(
            extruded(
                [(rear, floor + 0.2), (rear - 0.0, rim), (bed_end, rim + 0.1), (bed_end, floor), (rear + 0.7, floor)],
                width,
                cargo,
                Material.PAINT,
            )
        )
        parts.append(
            box((0.8 * bed, 0.8 * width, 0.6), (middle, 0, rim), (0.22, 0.17, 0.11), Material.CONCRETE, top=(0.5, 0.5))
        )
    radius = rng.uniform(0.42, 0.5)
    for x in (front - cab_length * 0.55, rear + 1.3) + ((rear + 2.5,) if length > 8.5 else ()):
        parts += axle(x, width, radius, 0.3)
    for side in (-1, 1):
        parts.append(
            box((0.06, 0.3, 0.14), (rear - 0.02, side * (width / 2 - 0.25), deck - 0.15), RED_LAMP, Material.LAMP)
        )
    return merged(parts).on_ground()


def trailer(rng: np.random.Generator) -> Mesh:
    """A semi-trailer: box, tarpaulin, container on a frame, or flat with a load."""
    length, width, height = rng.uniform(8.5, 13.0), rng.uniform(2.35, 2.55), rng.uniform(3.3, 3.9)
    colour = lorry_paint(rng)
    deck = 1.2
    style = str(rng.choice(["box", "tarpaulin", "container", "flat"], p=[0.35, 0.25, 0.25, 0.15]))
    parts = [box((length, 0.9, 0.3), (0, 0, deck - 0.15), DARK, Material.BARE_METAL)]
    if style == "flat":
        parts.append(box((length, width, 0.15), (0, 0, deck + 0.05), (0.2, 0.14, 0.08), Material.WOOD))
        for at in np.linspace(-0.35, 0.35, 3):
            load = rng.uniform((1.5, 1.2, 0.5), (2.8, width - 0.2, 1.7))
            parts.append(box(load, (at * length, 0, deck + 0.12 + load[2] / 2), (0.3, 0.28, 0.25), Material.CONCRETE))
    else:
        material = {"box": Material.PAINT, "tarpaulin": Material.CLOTH, "container": Material.BARE_METAL}[style]
        parts.append(box((length, width, height - deck), (0, 0, (height + deck) / 2), colour, material))
        ribs = np.arange(-length / 2 + 0.4, length / 2 - 0.2, 0.6 if style == "container" else 1.8)
        for x in ribs:
            for side in (-1, 1):
                parts.append(
                    box(
                        (0.12, 0.05, height - deck - 0.1),
                        (x, side * (width / 2 + 0.01), (height + deck) / 2),
                        colour,
                        material,
                    )
                )
    for x in (-length / 2 + 1.2, -length / 2 + 2.4, -length / 2 + 3.6):
        parts += axle(x, width, 0.5, 0.35)
    for side in (-1, 1):
        parts.append(box((0.1, 0.1, deck - 0.2), (length / 2 - 2.4, side * 0.7, deck / 2), STEEL, Material.BARE_METAL))
        parts.append(
            box((0.06, 0.35, 0.14), (-length / 2 - 0.02, side * (width / 2 - 0.3), deck - 0.2), RED_LAMP, Material.LAMP)
        )
    return merged(parts).on_ground()


def car_trailer(rng: np.random.Generator) -> Mesh:
    """A small one-axle trailer with a drawbar."""
    length, width = rng.uniform(2.2, 3.6), rng.uniform(1.5, 2.0)
    height = rng.uniform(1.0, 2.1)
    parts = [box((length, width, height - 0.5), (0, 0, (height + 0.5) / 2), lorry_paint(rng), Material.PAINT)]
    parts.append(tube((length / 2, 0, 0.45), (length / 2 + 1.1, 0, 0.45), 0.06, STEEL, Material.BARE_METAL))
    return merged(parts + axle(-0.05 * length, width + 0.3, 0.3, 0.18)).on_ground()


def semi_tractor(rng: np.random.Generator) -> Mesh:
    """The truck that pulls a semi-trailer."""
    width, height = rng.uniform(2.35, 2.5), rng.uniform(3.0, 3.7)
    parts = _cab(rng, 3.0, width, height, 2.2, lorry_paint(rng))
    parts.append(box((5.6, 0.9, 0.3), (0.1, 0, 0.85), DARK, Material.BARE_METAL))
    parts.append(box((1.2, 1.2, 0.2), (-1.6, 0, 1.1), STEEL, Material.BARE_METAL))
    for x in (1.6, -1.4, -2.3):
        parts += axle(x, width, 0.48, 0.3)
    return merged(parts).on_ground()
