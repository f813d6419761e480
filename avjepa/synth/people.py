"""Pedestrians, and bicycles and motorcycles with and without a rider.

A person is a handful of limbs; walking is a cycle of ``WALK_PHASES`` poses with the same triangles, so that a mesh
can be animated by exchanging its vertices. Meshes look along +x and stand on z = 0.
"""

import numpy as np

from avjepa.synth.materials import Material
from avjepa.synth.mesh import Colour, Mesh, box, ellipsoid, merged, ring, tube

WALK_PHASES = 8
"""Poses in one full cycle of two steps."""

_SKINS: tuple[Colour, ...] = (
    (0.60, 0.38, 0.28),
    (0.45, 0.27, 0.18),
    (0.28, 0.15, 0.09),
    (0.13, 0.07, 0.04),
    (0.66, 0.45, 0.36),
)
_CLOTHES: tuple[Colour, ...] = (
    (0.02, 0.02, 0.025), (0.05, 0.06, 0.10), (0.03, 0.05, 0.16), (0.15, 0.15, 0.16), (0.40, 0.40, 0.40), (0.70, 0.70, 0.68),
    (0.45, 0.05, 0.05), (0.10, 0.20, 0.10), (0.35, 0.25, 0.12), (0.55, 0.35, 0.05), (0.30, 0.08, 0.25), (0.10, 0.30, 0.40),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = ((0.015, 0.012, 0.01), (0.06, 0.03, 0.015), (0.25, 0.15, 0.05), (0.35, 0.34, 0.33))
_HI_VIS: Colour = (0.65, 0.75, 0.05)
_ORANGE: Colour = (0.80, 0.25, 0.02)
_TYRE: Colour = (0.015, 0.015, 0.016)
_METAL: Colour = (0.25, 0.25, 0.26)


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]


class Looks:
    """What stays the same about one person: build, clothes and what they carry."""

    def __init__(self, rng: np.random.Generator, *, child: bool = False, worker: bool = False) -> None:
        self.height = float(rng.uniform(1.0, 1.42) if child else np.clip(rng.normal(1.72, 0.09), 1.5, 1.98))
        self.girth = float(rng.uniform(0.85, 1.2)) * (0.85 if child else 1.0)
        self.skin, self.hair = _pick(rng, _SKINS), _pick(rng, _HAIR)
        self.top = (_HI_VIS if rng.random() < 0.6 else _ORANGE) if worker else _pick(rng, _CLOTHES)
        self.trousers = _pick(rng, _CLOTHES)
        self.helmet: Colour | None = (0.75, 0.6, 0.05) if worker else None
        self.worker = worker
        self.skirt = not worker and rng.random() < 0.2
        self.backpack = _pick(rng, _CLOTHES) if not worker and rng.random() < 0.3 else None
        self.bag = _pick(rng, _CLOTHES) if not worker and rng.random() < 0.25 else None
        self.umbrella = _pick(rng, _CLOTHES) if not child and not worker and rng.random() < 0.04 else None


def _head(looks: Looks, at: np.ndarray, scale: float) -> list[Mesh]:
    radius = 0.105 * scale
    parts = [ellipsoid((radius, 0.85 * radius, 1.2 * radius), at, looks.skin, Material.SKIN, detail=0)]
    colour, material = (looks.helmet, Material.PLASTIC) if looks.helmet else (looks.hair, Material.CLOTH)
    parts.append(
        ellipsoid((1.12 * radius, radius, 0.85 * radius), at + (-0.02, 0, 0.5 * radius), colour, material, detail=0)
    )
    return parts


def person(looks: Looks, phase: float = 0.0, stride: float = 0.0) -> Mesh:
    """A standing or walking person whose hips are above the origin.

    Args:
        looks: who it is.
        phase: position in the walking cycle, radians.
        stride: swing of the legs in radians; 0 stands still.
    """
    scale = looks.height / 1.75
    hip, shoulder = 0.88 * scale, 1.42 * scale
    girth = looks.girth * scale
    parts: list[Mesh] = []
    for side in (-1, 1):
        swing = stride * np.sin(phase) * side
        bend = stride * max(0.0, -np.cos(phase) * side) * 1.2
        top = np.array((0.0, side * 0.09 * girth, hip))
        knee = top + 0.43 * scale * np.array((np.sin(swing), 0, -np.cos(swing)))
        foot = knee + 0.42 * scale * np.array((np.sin(swing - bend), 0, -np.cos(swing - bend)))
        parts.append(
            tube(
                top,
                knee,
                0.085 * girth,
                looks.trousers,
                Material.CLOTH,
                end_radius=0.06 * girth,
                segments=5,
                closed=False,
            )
        )
        parts.append(
            tube(
                knee,
                foot,
                0.06 * girth,
                looks.trousers,
                Material.CLOTH,
                end_radius=0.045 * girth,
                segments=5,
                closed=False,
            )
        )
        parts.append(
            box((0.25 * scale, 0.09 * scale, 0.07 * scale), foot + (0.06 * scale, 0, 0), _TYRE, Material.RUBBER)
        )
        arm = np.array((0.0, side * 0.21 * girth, shoulder - 0.04))
        opposite = -0.7 * swing + (0.5 if looks.umbrella and side > 0 else 0.0)
        elbow = arm + 0.30 * scale * np.array((np.sin(opposite), 0.1 * side, -np.cos(opposite)))
        hand = elbow + 0.27 * scale * np.array((np.sin(opposite + 0.4), 0, -np.cos(opposite + 0.4)))
        parts.append(tube(arm, elbow, 0.05 * girth, looks.top, Material.CLOTH, segments=5, closed=False))
        parts.append(
            tube(
                elbow,
                hand,
                0.042 * girth,
                looks.top,
                Material.CLOTH,
                end_radius=0.035 * girth,
                segments=5,
                closed=False,
            )
        )
        if looks.bag and side > 0:
            parts.append(
                box(
                    (0.32 * scale, 0.12 * scale, 0.28 * scale),
                    hand + (0, 0.02, -0.16 * scale),
                    looks.bag,
                    Material.CLOTH,
                )
            )
        if looks.umbrella and side > 0:
            parts.append(tube(hand, hand + (0, 0, 0.95 * scale), 0.012, _METAL, Material.BARE_METAL, segments=4))
            canopy = hand + (0, 0, 0.8 * scale)
            parts.append(
                tube(canopy, canopy + (0, 0, 0.2), 0.5, looks.umbrella, Material.CLOTH, end_radius=0.05, segments=8)
            )
    chest = np.array((0.02, 0, (hip + shoulder) / 2 + 0.03))
    parts.append(ellipsoid((0.14 * girth, 0.21 * girth, 0.36 * scale), chest, looks.top, Material.CLOTH))
    if looks.worker:
        parts.append(ring_band(chest, 0.15 * girth, 0.215 * girth))
    if looks.skirt:
        parts.append(
            tube(
                (0, 0, hip + 0.08),
                (0, 0, hip - 0.36 * scale),
                0.15 * girth,
                looks.trousers,
                Material.CLOTH,
                end_radius=0.22 * girth,
                segments=7,
            )
        )
    if looks.backpack:
        parts.append(
            box(
                (0.18 * scale, 0.3 * scale, 0.42 * scale),
                chest + (-0.2 * girth, 0, 0.04),
                looks.backpack,
                Material.CLOTH,
            )
        )
    return merged(parts + _head(looks, np.array((0.02, 0, 1.62 * scale)), scale))


def ring_band(centre: np.ndarray, depth: float, width: float) -> Mesh:
    """The reflective stripe of a safety vest."""
    return ellipsoid((depth, width, 0.05), centre, (0.8, 0.8, 0.8), Material.RETROREFLECTOR)


def seated(
    looks: Looks, seat: float, lean: float = 0.0, reach: tuple[float, float] | None = None, feet: float = 0.0
) -> Mesh:
    """A person whose hips rest at height ``seat`` above the origin, on a bench or a saddle.

    Args:
        looks: who it is.
        seat: height of the hips, m.
        lean: forward lean of the trunk, radians.
        reach: (x, z) of the hands; on the thighs when not given.
        feet: height of the feet, m.
    """
    scale = looks.height / 1.75
    girth = looks.girth * scale
    hip = np.array((0.0, 0.0, seat))
    shoulder = hip + 0.54 * scale * np.array((np.sin(lean), 0, np.cos(lean)))
    hands = np.array((0.3, 0, seat + 0.1)) if reach is None else np.array((reach[0], 0, reach[1]))
    parts = []
    for side in (-1, 1):
        knee = hip + (0.42 * scale, side * 0.11, 0.03)
        foot = np.array((0.42 * scale if reach is None else 0.25, side * 0.12, feet + 0.05))
        parts.append(
            tube(
                hip + (0, side * 0.09, 0),
                knee,
                0.085 * girth,
                looks.trousers,
                Material.CLOTH,
                end_radius=0.06 * girth,
                segments=5,
            )
        )
        parts.append(
            tube(
                knee,
                foot,
                0.06 * girth,
                looks.trousers,
                Material.CLOTH,
                end_radius=0.045 * girth,
                segments=5,
                closed=False,
            )
        )
        parts.append(box((0.25 * scale, 0.09, 0.08), foot + (0.05, 0, 0), _TYRE, Material.RUBBER))
        joint = shoulder + (0, side * 0.2 * girth, -0.05)
        elbow = (joint + hands + (0, side * 0.2, 0)) / 2 + (0, side * 0.06, -0.08)
        parts.append(tube(joint, elbow, 0.05 * girth, looks.top, Material.CLOTH, segments=5, closed=False))
        parts.append(
            tube(elbow, hands + (0, side * 0.22, 0), 0.042 * girth, looks.top, Material.CLOTH, segments=5, closed=False)
        )
    chest = hip + (shoulder - hip) * 0.52
    parts.append(
        tube(hip, shoulder + (0, 0, 0.02), 0.17 * girth, looks.top, Material.CLOTH, end_radius=0.15 * girth, segments=7)
    )
    if looks.backpack:
        parts.append(box((0.16, 0.28, 0.4), chest + (-0.22, 0, 0.08), looks.backpack, Material.CLOTH))
    return merged(parts + _head(looks, shoulder + (0.04 + 0.1 * np.sin(lean), 0, 0.2 * scale), scale))


def bicycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """A bicycle, sometimes with a basket or a child's seat; with a rider on it or not."""
    radius, base = rng.uniform(0.31, 0.36), rng.uniform(0.98, 1.1)
    colour = _pick(rng, _CLOTHES)
    front, rear = np.array((base / 2, 0, radius)), np.array((-base / 2, 0, radius))
    crank, saddle, head = np.array((-0.05, 0, 0.3)), np.array((-0.22, 0, 0.92)), np.array((0.36, 0, 0.85))
    parts = [ring((x, 0, radius), radius, 0.045, 0.05, _TYRE, Material.RUBBER, 14) for x in (front[0], rear[0])]
    for start, end in (
        (crank, saddle),
        (crank, head),
        (saddle - (0, 0, 0.12), head),
        (rear, crank),
        (rear, saddle - (0, 0, 0.1)),
        (front, head + (-0.02, 0, 0.12)),
    ):
        parts.append(tube(start, end, 0.022, colour, Material.BARE_METAL, segments=5))
    parts.append(box((0.26, 0.14, 0.06), saddle + (0, 0, 0.02), _TYRE, Material.PLASTIC))
    parts.append(
        tube(head + (0.0, -0.27, 0.15), head + (0.0, 0.27, 0.15), 0.018, _METAL, Material.BARE_METAL, segments=4)
    )
    if rng.random() < 0.4:
        parts.append(box((0.3, 0.36, 0.25), head + (0.22, 0, 0.05), (0.2, 0.15, 0.1), Material.WOOD))
    if rng.random() < 0.2:
        parts.append(box((0.25, 0.3, 0.45), rear + (0.08, 0, 0.6), _pick(rng, _CLOTHES), Material.PLASTIC))
    if rider:
        body = seated(Looks(rng), 0.98, lean=float(rng.uniform(0.25, 0.8)), reach=(0.56, 1.02), feet=0.2)
        parts.append(body.moved((-0.22, 0, 0)))
    return merged(parts).on_ground()


def motorcycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """A motorcycle or a scooter, with a rider on it or not."""
    radius, base = rng.uniform(0.27, 0.33), rng.uniform(1.25, 1.5)
    colour = _pick(rng, _CLOTHES)
    scooter = rng.random() < 0.4
    parts = [ring((x, 0, radius), radius, 0.13, 0.12, _TYRE, Material.RUBBER, 12) for x in (-base / 2, base / 2)]
    parts.append(tube((base / 2, 0, radius), (base / 2 - 0.3, 0, 0.98), 0.05, _METAL, Material.BARE_METAL, segments=5))
    parts.append(
        tube((base / 2 - 0.3, -0.36, 1.0), (base / 2 - 0.3, 0.36, 1.0), 0.02, _METAL, Material.BARE_METAL, segments=4)
    )
    parts.append(box((0.1, 0.16, 0.16), (base / 2 - 0.17, 0, 0.85), (0.85, 0.85, 0.8), Material.LAMP))
    if scooter:
        parts.append(box((0.1, 0.42, 0.6), (base / 2 - 0.32, 0, 0.6), colour, Material.PAINT))
        parts.append(box((0.5, 0.34, 0.12), (0.05, 0, 0.3), colour, Material.PAINT))
        parts.append(box((0.75, 0.36, 0.42), (-0.45, 0, 0.52), colour, Material.PAINT, top=(0.85, 0.7)))
    else:
        parts.append(ellipsoid((0.35, 0.17, 0.17), (0.18, 0, 0.78), colour, Material.PAINT))
        parts.append(box((0.55, 0.3, 0.38), (0.05, 0, 0.42), _METAL, Material.BARE_METAL))
        parts.append(
            tube((-0.1, -0.2, 0.35), (-base / 2 - 0.15, -0.22, 0.42), 0.05, _METAL, Material.BARE_METAL, segments=6)
        )
    parts.append(box((0.7, 0.26, 0.1), (-0.35, 0, 0.77), _TYRE, Material.PLASTIC))
    if rng.random() < 0.35:
        parts.append(box((0.4, 0.42, 0.36), (-base / 2 - 0.05, 0, 0.98), _pick(rng, _CLOTHES), Material.PLASTIC))
    if rider:
        looks = Looks(rng)
        looks.helmet = _pick(rng, _CLOTHES)
        parts.append(
            seated(looks, 0.85, lean=float(rng.uniform(0.1, 0.5)), reach=(base / 2 + 0.0, 1.0), feet=0.25).moved(
                (-0.3, 0, 0)
            )
        )
    return merged(parts).on_ground()


def walking_poses(looks: Looks, speed: float) -> list[Mesh]:
    """``WALK_PHASES`` poses of one walking cycle, equal triangles, on common ground and about a common centre."""
    stride = float(np.clip(0.14 + 0.16 * speed, 0.15, 0.5))
    poses = [person(looks, 2 * np.pi * index / WALK_PHASES, stride) for index in range(WALK_PHASES)]
    every = np.concatenate([pose.vertices for pose in poses])
    middle = (every.min(0) + every.max(0)) / 2
    return [pose.moved((-middle[0], -middle[1], -every[:, 2].min())) for pose in poses]
