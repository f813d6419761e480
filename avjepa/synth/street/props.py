"""Things beside the road: the annotated cones and barriers, and the many things that only look like objects.

Meshes stand on z = 0 and are centred on their bounding box unless a function says otherwise.
"""

import itertools

import numpy as np

from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, ellipsoid, extruded, foliage, merged, tube
from avjepa.synth.bodies.palette import DARK, ORANGE, STEEL, WHITE, green, vivid


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """A cone with its foot and one or two bright stripes, or a slim delineator cone."""
    height = rng.uniform(0.5, 1.05)
    foot = rng.uniform(0.32, 0.42)
    radius = 0.36 * foot
    parts = [box((foot, foot, 0.04), (0, 0, 0.02), DARK, Material.RUBBER)]
    levels = np.array([0.04, 0.3, 0.5, 0.6, 0.78, 1.0]) * height
    for index, (low, high) in enumerate(itertools.pairwise(levels)):
        stripe = index in (1, 3)
        widths = [radius * (1 - 0.85 * z / height) + 0.02 for z in (low, high)]
        colour, material = (WHITE, Material.RETROREFLECTOR) if stripe else (ORANGE, Material.PLASTIC)
        parts.append(tube((0, 0, low), (0, 0, high), widths[0], colour, material, end_radius=widths[1], segments=8))
    return merged(parts).on_ground()


def barrier(rng: np.random.Generator, style: int) -> Mesh:
    """A concrete (0), water-filled plastic (1) or steel crowd (2) barrier; it extends along y, as nuScenes has it."""
    length = rng.uniform(1.7, 2.6)
    if style == 0:
        profile = [
            (-0.3, 0),
            (-0.28, 0.2),
            (-0.13, 0.35),
            (-0.09, 0.85),
            (0.09, 0.85),
            (0.13, 0.35),
            (0.28, 0.2),
            (0.3, 0),
        ]
        shade = float(rng.uniform(0.32, 0.5))
        return extruded(profile, length, (shade, shade, 0.95 * shade), Material.CONCRETE).on_ground()
    if style == 1:
        colour = ORANGE if rng.random() < 0.5 else WHITE
        profile = [(-0.25, 0), (-0.2, 0.4), (-0.1, 1.0), (0.1, 1.0), (0.2, 0.4), (0.25, 0)]
        body = extruded(profile, length, colour, Material.PLASTIC, bevel=0.03)
        return merged((body, box((0.3, 0.8 * length, 0.12), (0, 0, 0.72), WHITE, Material.RETROREFLECTOR))).on_ground()
    parts = [
        tube((0, -length / 2, z), (0, length / 2, z), 0.025, STEEL, Material.BARE_METAL, segments=5)
        for z in (0.2, 1.05)
    ]
    for y in np.linspace(-length / 2, length / 2, 12):
        parts.append(tube((0, y, 0.2), (0, y, 1.05), 0.012, STEEL, Material.BARE_METAL, segments=4))
    parts += [box((0.5, 0.05, 0.05), (0, side * length * 0.4, 0.03), STEEL, Material.BARE_METAL) for side in (-1, 1)]
    parts.append(box((0.04, 0.9 * length, 0.18), (0, 0, 0.92), (0.7, 0.1, 0.08), Material.RETROREFLECTOR))
    return merged(parts).on_ground()


def shipping_container(rng: np.random.Generator) -> Mesh:
    """A 10 or 20 foot container: the size of a truck's body, without wheels."""
    length, colour = float(rng.choice([3.0, 6.06])), vivid(rng)
    parts = [box((length, 2.44, 2.59), (0, 0, 1.3), colour, Material.BARE_METAL)]
    for x in np.arange(-length / 2 + 0.25, length / 2, 0.5):
        parts += [box((0.2, 0.06, 2.35), (x, side * 1.23, 1.3), colour, Material.BARE_METAL) for side in (-1, 1)]
    return merged(parts).on_ground()


def skip(rng: np.random.Generator) -> Mesh:
    """An open rubbish skip: as long as a car."""
    length, height, colour = rng.uniform(3.2, 4.6), rng.uniform(1.2, 1.6), vivid(rng)
    outline = [(-0.5 * length, height), (-0.36 * length, 0.05), (0.36 * length, 0.05), (0.5 * length, height)]
    load = box((0.75 * length, 1.3, 0.4), (0, 0, height), (0.2, 0.16, 0.12), Material.CONCRETE, top=(0.7, 0.6))
    return merged((extruded(outline, rng.uniform(1.6, 1.9), colour, Material.BARE_METAL), load)).on_ground()


def tarpaulin_heap(rng: np.random.Generator) -> Mesh:
    """Building material under a tarpaulin: the outline of a covered car."""
    length, width, height = rng.uniform(3.4, 4.6), rng.uniform(1.6, 1.9), rng.uniform(1.1, 1.6)
    outline = [(-0.5, 0.05), (-0.47, 0.55), (-0.2, 0.95), (0.1, 1.0), (0.35, 0.6), (0.5, 0.4), (0.5, 0.05)]
    shade = float(rng.uniform(0.1, 0.4))
    return extruded(
        [(x * length, z * height) for x, z in outline],
        width,
        (0.6 * shade, shade, 0.9 * shade),
        Material.CLOTH,
        bevel=0.18,
    ).on_ground()


def kiosk(rng: np.random.Generator) -> Mesh:
    """A newspaper stand, wide enough to hide people behind it."""
    length, width, height, colour = rng.uniform(2.0, 3.4), rng.uniform(1.4, 1.8), rng.uniform(2.3, 2.8), vivid(rng)
    parts = [
        box((length, width, height), (0, 0, height / 2), colour, Material.PAINT),
        box((length + 0.5, width + 0.4, 0.15), (0, 0, height), DARK, Material.PLASTIC),
    ]
    parts += [
        box((0.8 * length, 0.02, 0.9), (0, side * (width / 2 + 0.01), 1.5), (0.5, 0.45, 0.4), Material.PLASTIC)
        for side in (-1, 1)
    ]
    return merged(parts).on_ground()


def bus_shelter(rng: np.random.Generator) -> Mesh:
    """A glazed shelter whose open side faces -y, with a bench in it."""
    length = rng.uniform(3.2, 4.6)
    glass: Colour = (0.25, 0.28, 0.28)
    parts = [
        box((length, 0.04, 1.9), (0, 0.65, 1.25), glass, Material.GLASS),
        box((length + 0.2, 1.5, 0.1), (0, 0, 2.45), STEEL, Material.BARE_METAL),
    ]
    parts += [tube((x, 0.65, 0), (x, 0.65, 2.4), 0.05, STEEL, Material.BARE_METAL) for x in (-length / 2, length / 2)]
    parts.append(box((0.12, 1.2, 1.9), (length / 2, 0, 1.25), vivid(rng), Material.PLASTIC))
    parts.append(box((0.7 * length, 0.4, 0.06), (-0.1 * length, 0.4, 0.45), STEEL, Material.BARE_METAL))
    return merged(parts)


def bench(rng: np.random.Generator) -> Mesh:
    """A bench that faces -y; its seat is .45 m high."""
    wood: Colour = (0.25, 0.14, 0.06)
    parts = [
        box((1.7, 0.45, 0.06), (0, 0, 0.42), wood, Material.WOOD),
        box((1.7, 0.06, 0.4), (0, 0.22, 0.7), wood, Material.WOOD),
    ]
    parts += [box((0.08, 0.45, 0.42), (x, 0, 0.21), STEEL, Material.BARE_METAL) for x in (-0.7, 0.7)]
    return merged(parts)


def lamp_post(rng: np.random.Generator) -> Mesh:
    """A street lamp; its arm reaches along -y."""
    height = rng.uniform(5.5, 8.5)
    parts = [tube((0, 0, 0), (0, 0, height), 0.09, STEEL, Material.BARE_METAL, end_radius=0.05, segments=7)]
    parts.append(tube((0, 0, height), (0, -1.6, height + 0.3), 0.045, STEEL, Material.BARE_METAL, segments=5))
    parts.append(box((0.3, 0.6, 0.12), (0, -1.7, height + 0.25), WHITE, Material.LAMP))
    return merged(parts)


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """A post of a person's height with a plate that faces -x."""
    height = rng.uniform(1.7, 2.8)
    plate: Colour = ((0.6, 0.03, 0.03), (0.03, 0.12, 0.5), (0.7, 0.6, 0.05), WHITE)[rng.integers(4)]
    parts = [tube((0, 0, 0), (0, 0, height), 0.035, STEEL, Material.BARE_METAL, segments=5)]
    parts.append(
        tube(
            (-0.06, 0, height - 0.25),
            (-0.04, 0, height - 0.25),
            0.32,
            plate,
            Material.RETROREFLECTOR,
            segments=int(rng.choice([3, 4, 8, 12])),
        )
    )
    return merged(parts)


def traffic_light(rng: np.random.Generator, lit: Colour) -> Mesh:
    """A signal on a post whose face looks along -x; ``lit`` is the colour of its light."""
    parts = [
        tube((0, 0, 0), (0, 0, 3.2), 0.07, STEEL, Material.BARE_METAL, segments=6),
        box((0.25, 0.32, 0.95), (0, 0, 3.0), DARK, Material.PLASTIC),
    ]
    parts.append(
        tube(
            (-0.15, 0, 3.28 if lit[0] > lit[1] else 2.72),
            (-0.12, 0, 3.28 if lit[0] > lit[1] else 2.72),
            0.11,
            lit,
            Material.LAMP,
            segments=8,
        )
    )
    return merged(parts)


def person_sized_column(rng: np.random.Generator) -> Mesh:
    """A post box, parking meter, wrapped tree, hydrant or advertising pillar: the height and width of a person."""
    kind = rng.integers(5)
    if kind == 0:
        return merged(
            (
                tube((0, 0, 0), (0, 0, 1.45), 0.26, (0.5, 0.02, 0.02), Material.PAINT, segments=10),
                ellipsoid((0.29, 0.29, 0.14), (0, 0, 1.48), (0.5, 0.02, 0.02), Material.PAINT),
            )
        )
    if kind == 1:
        return merged(
            (
                tube((0, 0, 0), (0, 0, 1.15), 0.05, STEEL, Material.BARE_METAL),
                ellipsoid((0.11, 0.14, 0.24), (0, 0, 1.35), DARK, Material.PLASTIC),
            )
        )
    if kind == 2:
        lower = tube((0, 0, 0), (0, 0, 1.0), 0.16, (0.35, 0.30, 0.2), Material.CLOTH, end_radius=0.2, segments=7)
        return merged((lower, foliage(rng, (0.32, 0.32, 0.42), (0, 0, 1.35), green(rng))))
    if kind == 3:
        red: Colour = (0.55, 0.05, 0.03)
        return merged(
            (
                tube((0, 0, 0), (0, 0, 0.75), 0.13, red, Material.PAINT, segments=8),
                ellipsoid((0.16, 0.2, 0.12), (0, 0, 0.75), red, Material.PAINT),
            )
        )
    height = rng.uniform(1.6, 2.4)
    return merged(
        (
            tube((0, 0, 0), (0, 0, height), 0.38, vivid(rng), Material.PLASTIC, segments=12),
            tube((0, 0, height), (0, 0, height + 0.15), 0.45, DARK, Material.PLASTIC, end_radius=0.2, segments=12),
        )
    )


def bollard(rng: np.random.Generator) -> Mesh:
    """A post of a cone's height, sometimes orange and striped like one."""
    height = rng.uniform(0.6, 1.0)
    colour = ORANGE if rng.random() < 0.3 else STEEL
    stripe = tube((0, 0, 0.6 * height), (0, 0, 0.75 * height), 0.075, WHITE, Material.RETROREFLECTOR, segments=8)
    return merged((tube((0, 0, 0), (0, 0, height), 0.07, colour, Material.PLASTIC, segments=8), stripe))


def street_cabinet(rng: np.random.Generator) -> Mesh:
    """A grey distribution box or a pair of litter bins."""
    if rng.random() < 0.5:
        size = rng.uniform((0.6, 0.35, 0.9), (1.5, 0.5, 1.5))
        return box(size, (0, 0, size[2] / 2), (0.32, 0.34, 0.32), Material.PAINT)
    return merged(
        [
            box((0.55, 0.55, 1.05), (x, 0, 0.53), (0.05, 0.09, 0.06), Material.PLASTIC, top=(1.1, 1.1))
            for x in (-0.35, 0.35)
        ]
    )
