"""Cars, trucks, buses and trailers: every instance has its own shape, size and paint.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.materials import Material
from avjepa.synth.mesh import Colour, Mesh, box, extruded, merged, pane, tube

_PAINTS: tuple[Colour, ...] = (
    (0.75, 0.75, 0.74), (0.72, 0.73, 0.76), (0.38, 0.39, 0.40), (0.16, 0.17, 0.18), (0.02, 0.02, 0.025), (0.03, 0.03, 0.03),
    (0.40, 0.02, 0.02), (0.25, 0.03, 0.03), (0.03, 0.07, 0.30), (0.04, 0.10, 0.18), (0.05, 0.16, 0.08), (0.55, 0.47, 0.33),
    (0.60, 0.40, 0.05), (0.45, 0.16, 0.04), (0.10, 0.25, 0.35),
)  # fmt: skip
_PAINT_SHARE = np.array([6, 4, 4, 4, 4, 3, 2, 1, 2, 1, 0.6, 1, 0.7, 0.5, 0.6])
_LORRY_PAINTS: tuple[Colour, ...] = (
    (0.78, 0.78, 0.76), (0.70, 0.72, 0.74), (0.05, 0.10, 0.40), (0.45, 0.03, 0.03), (0.62, 0.45, 0.04), (0.05, 0.22, 0.10),
    (0.30, 0.31, 0.33), (0.50, 0.20, 0.04),
)  # fmt: skip
_GLASS: Colour = (0.03, 0.04, 0.05)
TYRE: Colour = (0.015, 0.015, 0.016)
_RIM: Colour = (0.35, 0.35, 0.36)
DARK: Colour = (0.03, 0.03, 0.032)
_WHITE_LAMP: Colour = (0.85, 0.85, 0.80)
_RED_LAMP: Colour = (0.55, 0.02, 0.02)
STEEL: Colour = (0.30, 0.30, 0.31)


def _paint(rng: np.random.Generator) -> Colour:
    red, green, blue = _PAINTS[rng.choice(len(_PAINTS), p=_PAINT_SHARE / _PAINT_SHARE.sum())]
    shade = rng.uniform(0.8, 1.15)
    return red * shade, green * shade, blue * shade


def _lorry_paint(rng: np.random.Generator) -> Colour:
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


def _lamps(length: float, width: float, height: float, size: float) -> list[Mesh]:
    parts = []
    for side in (-1, 1):
        y = side * (width / 2 - 0.22 * width / 1.8)
        parts.append(box((0.08, size * 1.6, size), (length / 2 - 0.06, y, height), _WHITE_LAMP, Material.LAMP))
        parts.append(box((0.08, size * 1.4, size), (-length / 2 + 0.06, y, height * 1.1), _RED_LAMP, Material.LAMP))
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
        parts.append(pane(corners, (0, 1), (0, 1), (0, 0, 0), colour, Material.PAINT))
        count = side_panes if side in (0, 2) else 1
        edges = np.linspace(0.04, 0.96, count + 1)
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            window = (float(start) + 0.02, float(end) - 0.02)
            parts.append(pane(corners, window, (margin, 1 - margin), outward[side], _GLASS, Material.GLASS))
    parts.append(pane(np.array(upper), (0, 1), (0, 1), (0, 0, 0), colour, Material.PAINT))
    return parts


_CAR_STYLES = {
    # style: length, width, height ranges (m); bonnet and tail height, cabin base and roof ends as fractions
    "sedan": ((4.4, 5.0), (1.76, 1.90), (1.40, 1.50), 0.60, 0.64, (-0.38, 0.20), (-0.22, 0.03)),
    "hatchback": ((3.7, 4.35), (1.68, 1.82), (1.44, 1.56), 0.60, 0.66, (-0.485, 0.24), (-0.40, 0.06)),
    "estate": ((4.5, 4.9), (1.78, 1.88), (1.44, 1.52), 0.60, 0.66, (-0.485, 0.20), (-0.43, 0.04)),
    "suv": ((4.3, 5.0), (1.82, 2.02), (1.62, 1.86), 0.60, 0.64, (-0.485, 0.22), (-0.43, 0.07)),
    "van": ((4.6, 5.5), (1.86, 2.05), (1.84, 2.25), 0.52, 0.58, (-0.49, 0.40), (-0.47, 0.22)),
    "taxi": ((4.4, 4.8), (1.76, 1.86), (1.42, 1.50), 0.60, 0.64, (-0.38, 0.20), (-0.22, 0.03)),
}


def car(rng: np.random.Generator) -> Mesh:
    """A sedan, hatchback, estate, SUV, van or taxi."""
    style = str(rng.choice(list(_CAR_STYLES), p=[0.28, 0.24, 0.1, 0.22, 0.1, 0.06]))
    lengths, widths, heights, bonnet, tail, cabin_base, cabin_roof = _CAR_STYLES[style]
    length, width, height = rng.uniform(*lengths), rng.uniform(*widths), rng.uniform(*heights)
    bonnet, tail = bonnet * rng.uniform(0.95, 1.05), tail * rng.uniform(0.96, 1.05)
    colour: Colour = (0.72, 0.50, 0.03) if style == "taxi" else _paint(rng)
    clearance = rng.uniform(0.13, 0.17) if style != "suv" else rng.uniform(0.18, 0.23)
    radius = rng.uniform(0.30, 0.34) if style != "suv" else rng.uniform(0.34, 0.39)
    z = clearance / height
    outline = [(-0.49, z), (-0.5, 0.4), (-0.495, tail - 0.04), (-0.46, tail), (-0.25, tail + 0.015), (0.15, bonnet + 0.04),
               (0.40, bonnet - 0.03), (0.475, bonnet - 0.11), (0.5, 0.36), (0.49, z)]  # fmt: skip
    parts = [extruded([(x * length, y * height) for x, y in outline], width, colour, Material.PAINT, bevel=0.05)]
    shift = rng.uniform(-0.015, 0.015)
    parts += glazed_cabin(
        ((cabin_base[0] + shift) * length, cabin_base[1] * length, 0.47 * width, (tail - 0.02) * height),
        ((cabin_roof[0] + shift) * length, cabin_roof[1] * length, rng.uniform(0.36, 0.41) * width, height),
        colour,
        side_panes=2 if style != "van" else 3,
    )
    wheelbase = 0.30 * length
    parts += axle(-wheelbase, width + 0.01, radius) + axle(wheelbase + 0.02 * length, width + 0.01, radius)
    parts += _lamps(length, width, (bonnet - 0.12) * height, 0.13)
    parts.append(box((0.06, 0.8 * width, 0.16), (length / 2 - 0.02, 0, clearance + 0.12), DARK, Material.PLASTIC))
    parts.append(box((0.06, 0.8 * width, 0.16), (-length / 2 + 0.02, 0, clearance + 0.12), DARK, Material.PLASTIC))
    if style == "taxi":
        parts.append(box((0.25, 0.5, 0.14), (-0.08 * length, 0, height + 0.05), (0.8, 0.8, 0.7), Material.LAMP))
    elif rng.random() < 0.15:
        parts.append(box((1.3, 0.8, 0.28), (-0.1 * length, 0, height + 0.14), DARK, Material.PLASTIC, top=(0.8, 0.8)))
    return merged(parts).on_ground()


def _cab(
    rng: np.random.Generator, front: float, width: float, height: float, length: float, colour: Colour
) -> list[Mesh]:
    """A lorry's cab whose nose is at x = ``front``."""
    rake = rng.uniform(0.02, 0.25)
    body = extruded(
        [(front - length, 0.5), (front - length, 0.45 * height), (front - 0.02, 0.45 * height), (front, 0.4 * height), (front, 0.42)],
        width, colour, Material.PAINT, bevel=0.04,
    )  # fmt: skip
    cabin = glazed_cabin(
        (front - length, front - 0.03, width / 2 - 0.02, 0.45 * height),
        (front - length, front - 0.03 - rake, width / 2 - 0.08, height),
        colour, side_panes=1, margin=0.12,
    )  # fmt: skip
    bumper = box((0.15, width, 0.35), (front - 0.05, 0, 0.55), DARK, Material.PLASTIC)
    lamps = [
        box((0.06, 0.28, 0.16), (front + 0.01, side * (width / 2 - 0.3), 0.8), _WHITE_LAMP, Material.LAMP)
        for side in (-1, 1)
    ]
    mirrors = [
        box((0.1, 0.18, 0.4), (front - 0.1, side * (width / 2 + 0.06), 0.7 * height), DARK, Material.PLASTIC)
        for side in (-1, 1)
    ]
    return [body, *cabin, bumper, *lamps, *mirrors]


def _pickup(rng: np.random.Generator) -> list[Mesh]:
    length, width, height = rng.uniform(5.1, 5.8), rng.uniform(1.85, 2.0), rng.uniform(1.75, 1.9)
    colour = _paint(rng)
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
        + _lamps(length, width, 0.45 * height, 0.15)
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
    cargo = _lorry_paint(rng)
    parts = _cab(rng, front, width - 0.1, cab_height, cab_length, _lorry_paint(rng))
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
            box((0.06, 0.3, 0.14), (rear - 0.02, side * (width / 2 - 0.25), deck - 0.15), _RED_LAMP, Material.LAMP)
        )
    return merged(parts).on_ground()


def _coach(
    rng: np.random.Generator, length: float, width: float, height: float, colour: Colour, stripe: Colour, *, nose: bool
) -> Mesh:
    floor = 0.35
    lean = 0.12 if nose else 0.0
    outline = [(-length / 2, floor), (-length / 2, height - 0.1), (-length / 2 + 0.1, height), (length / 2 - 0.15 - lean, height),
               (length / 2 - lean, height - 0.15), (length / 2, 0.45 * height), (length / 2, floor)]  # fmt: skip
    parts = [extruded(outline, width, colour, Material.PAINT, bevel=0.06)]
    for side in (-1, 1):
        y = side * (width / 2 + 0.012)
        corners = np.array([(-length / 2, y, 0), (length / 2, y, 0), (length / 2, y, height), (-length / 2, y, height)])
        count = round(length / 1.5)
        for index in range(count):
            span = (0.03 + 0.94 * index / count + 0.004, 0.03 + 0.94 * (index + 1) / count - 0.004)
            door = side < 0 and index in (1, count - 2)
            parts.append(pane(corners, span, (0.16 if door else 0.44, 0.86), (0, 0, 0), _GLASS, Material.GLASS))
        parts.append(pane(corners, (0.02, 0.98), (0.24, 0.32), (0, side * -0.006, 0), stripe, Material.PAINT))
    rear = np.array(
        [
            (-length / 2 - 0.012, -width / 2, 0),
            (-length / 2 - 0.012, width / 2, 0),
            (-length / 2 - 0.012, width / 2, height),
            (-length / 2 - 0.012, -width / 2, height),
        ]
    )
    parts.append(pane(rear, (0.12, 0.88), (0.52, 0.85), (0, 0, 0), _GLASS, Material.GLASS))
    if nose:
        front = rear * (-1, 1, 1) - (0, 0, 0)
        parts.append(pane(front, (0.06, 0.94), (0.42, 0.84), (0, 0, 0), _GLASS, Material.GLASS))
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
    parts += _lamps(length, width, 0.7, 0.2)
    return merged(parts)


def _livery(rng: np.random.Generator) -> tuple[Colour, Colour]:
    liveries: tuple[tuple[Colour, Colour], ...] = (
        ((0.70, 0.70, 0.68), (0.05, 0.12, 0.45)), ((0.50, 0.03, 0.03), (0.75, 0.75, 0.7)), ((0.04, 0.22, 0.12), (0.7, 0.7, 0.3)),
        ((0.60, 0.45, 0.05), (0.1, 0.1, 0.1)), ((0.08, 0.18, 0.45), (0.7, 0.7, 0.7)), ((0.72, 0.72, 0.70), (0.45, 0.05, 0.05)),
    )  # fmt: skip
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


def trailer(rng: np.random.Generator) -> Mesh:
    """A semi-trailer: box, tarpaulin, container on a frame, or flat with a load."""
    length, width, height = rng.uniform(8.5, 13.0), rng.uniform(2.35, 2.55), rng.uniform(3.3, 3.9)
    colour = _lorry_paint(rng)
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
            box(
                (0.06, 0.35, 0.14), (-length / 2 - 0.02, side * (width / 2 - 0.3), deck - 0.2), _RED_LAMP, Material.LAMP
            )
        )
    return merged(parts).on_ground()


def car_trailer(rng: np.random.Generator) -> Mesh:
    """A small one-axle trailer with a drawbar."""
    length, width = rng.uniform(2.2, 3.6), rng.uniform(1.5, 2.0)
    height = rng.uniform(1.0, 2.1)
    parts = [box((length, width, height - 0.5), (0, 0, (height + 0.5) / 2), _lorry_paint(rng), Material.PAINT)]
    parts.append(tube((length / 2, 0, 0.45), (length / 2 + 1.1, 0, 0.45), 0.06, STEEL, Material.BARE_METAL))
    return merged(parts + axle(-0.05 * length, width + 0.3, 0.3, 0.18)).on_ground()


def semi_tractor(rng: np.random.Generator) -> Mesh:
    """The truck that pulls a semi-trailer."""
    width, height = rng.uniform(2.35, 2.5), rng.uniform(3.0, 3.7)
    parts = _cab(rng, 3.0, width, height, 2.2, _lorry_paint(rng))
    parts.append(box((5.6, 0.9, 0.3), (0.1, 0, 0.85), DARK, Material.BARE_METAL))
    parts.append(box((1.2, 1.2, 0.2), (-1.6, 0, 1.1), STEEL, Material.BARE_METAL))
    for x in (1.6, -1.4, -2.3):
        parts += axle(x, width, 0.48, 0.3)
    return merged(parts).on_ground()
