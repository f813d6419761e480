"""Things beside the road: the annotated cones and barriers, and the many things that only look like objects.

Meshes stand on z = 0 and are centred on their bounding box unless a function says otherwise.
"""

import numpy as np

from avjepa.synth.materials import Material
from avjepa.synth.mesh import Colour, Mesh, box, ellipsoid, extruded, foliage, merged, painted, tube
from avjepa.synth.vehicles import DARK, STEEL

_GREENS: tuple[Colour, ...] = (
    (0.05, 0.12, 0.03),
    (0.08, 0.16, 0.04),
    (0.10, 0.14, 0.03),
    (0.04, 0.09, 0.03),
    (0.14, 0.15, 0.04),
)
_VIVID: tuple[Colour, ...] = (
    (0.5, 0.03, 0.03),
    (0.03, 0.12, 0.45),
    (0.6, 0.45, 0.03),
    (0.05, 0.3, 0.12),
    (0.5, 0.5, 0.5),
    (0.35, 0.15, 0.05),
)
_ORANGE: Colour = (0.80, 0.20, 0.02)
_WHITE: Colour = (0.75, 0.75, 0.73)


def _green(rng: np.random.Generator) -> Colour:
    return _GREENS[rng.integers(len(_GREENS))]


def _vivid(rng: np.random.Generator) -> Colour:
    return _VIVID[rng.integers(len(_VIVID))]


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """A cone with its foot and one or two bright stripes, or a slim delineator cone."""
    height = rng.uniform(0.5, 1.05)
    foot = rng.uniform(0.32, 0.42)
    radius = 0.36 * foot
    parts = [box((foot, foot, 0.04), (0, 0, 0.02), DARK, Material.RUBBER)]
    levels = np.array([0.04, 0.3, 0.5, 0.6, 0.78, 1.0]) * height
    for index, (low, high) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        stripe = index in (1, 3)
        widths = [radius * (1 - 0.85 * z / height) + 0.02 for z in (low, high)]
        colour, material = (_WHITE, Material.RETROREFLECTOR) if stripe else (_ORANGE, Material.PLASTIC)
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
        colour = _ORANGE if rng.random() < 0.5 else _WHITE
        profile = [(-0.25, 0), (-0.2, 0.4), (-0.1, 1.0), (0.1, 1.0), (0.2, 0.4), (0.25, 0)]
        body = extruded(profile, length, colour, Material.PLASTIC, bevel=0.03)
        return merged((body, box((0.3, 0.8 * length, 0.12), (0, 0, 0.72), _WHITE, Material.RETROREFLECTOR))).on_ground()
    parts = [
        tube((0, -length / 2, z), (0, length / 2, z), 0.025, STEEL, Material.BARE_METAL, segments=5)
        for z in (0.2, 1.05)
    ]
    for y in np.linspace(-length / 2, length / 2, 12):
        parts.append(tube((0, y, 0.2), (0, y, 1.05), 0.012, STEEL, Material.BARE_METAL, segments=4))
    parts += [box((0.5, 0.05, 0.05), (0, side * length * 0.4, 0.03), STEEL, Material.BARE_METAL) for side in (-1, 1)]
    parts.append(box((0.04, 0.9 * length, 0.18), (0, 0, 0.92), (0.7, 0.1, 0.08), Material.RETROREFLECTOR))
    return merged(parts).on_ground()


def tree(rng: np.random.Generator) -> Mesh:
    """A broad-leaved tree or a conifer; the trunk stands on the origin."""
    height = rng.uniform(4.5, 9.5)
    trunk = rng.uniform(0.10, 0.26)
    bark: Colour = (0.10, 0.07, 0.045)
    colour = _green(rng)
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
        parts.append(foliage(rng, radii, (x, rng.uniform(-0.1, 0.1), 0.48 * size[2]), _green(rng)))
    return merged(parts).on_ground()


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """A clipped hedge along x."""
    height, width = rng.uniform(0.9, 2.0), rng.uniform(0.6, 1.1)
    parts = [box((length, width, height), (0, 0, height / 2), _green(rng), Material.FOLIAGE, top=(0.99, 0.85))]
    for x in np.arange(-length / 2 + 0.5, length / 2 - 0.4, 1.1):
        parts.append(foliage(rng, (0.75, 0.56 * width, 0.3), (x, 0, height - 0.1), _green(rng), detail=0))
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


def shipping_container(rng: np.random.Generator) -> Mesh:
    """A 10 or 20 foot container: the size of a truck's body, without wheels."""
    length, colour = float(rng.choice([3.0, 6.06])), _vivid(rng)
    parts = [box((length, 2.44, 2.59), (0, 0, 1.3), colour, Material.BARE_METAL)]
    for x in np.arange(-length / 2 + 0.25, length / 2, 0.5):
        parts += [box((0.2, 0.06, 2.35), (x, side * 1.23, 1.3), colour, Material.BARE_METAL) for side in (-1, 1)]
    return merged(parts).on_ground()


def skip(rng: np.random.Generator) -> Mesh:
    """An open rubbish skip: as long as a car."""
    length, height, colour = rng.uniform(3.2, 4.6), rng.uniform(1.2, 1.6), _vivid(rng)
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
    length, width, height, colour = rng.uniform(2.0, 3.4), rng.uniform(1.4, 1.8), rng.uniform(2.3, 2.8), _vivid(rng)
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
    parts.append(box((0.12, 1.2, 1.9), (length / 2, 0, 1.25), _vivid(rng), Material.PLASTIC))
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
    parts.append(box((0.3, 0.6, 0.12), (0, -1.7, height + 0.25), _WHITE, Material.LAMP))
    return merged(parts)


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """A post of a person's height with a plate that faces -x."""
    height = rng.uniform(1.7, 2.8)
    plate: Colour = ((0.6, 0.03, 0.03), (0.03, 0.12, 0.5), (0.7, 0.6, 0.05), _WHITE)[rng.integers(4)]
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
        return merged((lower, foliage(rng, (0.32, 0.32, 0.42), (0, 0, 1.35), _green(rng))))
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
            tube((0, 0, 0), (0, 0, height), 0.38, _vivid(rng), Material.PLASTIC, segments=12),
            tube((0, 0, height), (0, 0, height + 0.15), 0.45, DARK, Material.PLASTIC, end_radius=0.2, segments=12),
        )
    )


def bollard(rng: np.random.Generator) -> Mesh:
    """A post of a cone's height, sometimes orange and striped like one."""
    height = rng.uniform(0.6, 1.0)
    colour = _ORANGE if rng.random() < 0.3 else STEEL
    stripe = tube((0, 0, 0.6 * height), (0, 0, 0.75 * height), 0.075, _WHITE, Material.RETROREFLECTOR, segments=8)
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


def planter(rng: np.random.Generator) -> Mesh:
    """A concrete tub with a shrub in it."""
    length = rng.uniform(0.9, 2.2)
    tub = box((length, 0.8, 0.5), (0, 0, 0.25), (0.38, 0.36, 0.33), Material.CONCRETE, top=(1.05, 1.05))
    return merged((tub, foliage(rng, (0.45 * length, 0.35, 0.4), (0, 0, 0.7), _green(rng))))


def hoarding(rng: np.random.Generator, length: float) -> Mesh:
    """The fence of a building site along x: it hides what passes behind it."""
    colour = _vivid(rng)
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


AWNINGS = _VIVID
"""Colours of awnings over shop windows."""
