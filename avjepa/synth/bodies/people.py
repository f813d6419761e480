"""Pedestrians.

A person is a handful of limbs; walking is a cycle of ``WALK_PHASES`` poses with the same triangles, so that a mesh
can be animated by exchanging its vertices. Meshes look along +x and stand on z = 0.
"""

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, ellipsoid, merged, tube
from avjepa.synth.bodies.palette import ORANGE, STEEL, TYRE

WALK_PHASES = 8
"""Poses in one full cycle of two steps."""
_SKINS: tuple[Colour, ...] = (
    (0.60, 0.38, 0.28),
    (0.45, 0.27, 0.18),
    (0.28, 0.15, 0.09),
    (0.13, 0.07, 0.04),
    (0.66, 0.45, 0.36),
)
CLOTHES: tuple[Colour, ...] = (
    (0.02, 0.02, 0.025),
    (0.05, 0.06, 0.10),
    (0.03, 0.05, 0.16),
    (0.15, 0.15, 0.16),
    (0.40, 0.40, 0.40),
    (0.70, 0.70, 0.68),
    (0.45, 0.05, 0.05),
    (0.10, 0.20, 0.10),
    (0.35, 0.25, 0.12),
    (0.55, 0.35, 0.05),
    (0.30, 0.08, 0.25),
    (0.10, 0.30, 0.40),
)
_HAIR: tuple[Colour, ...] = ((0.015, 0.012, 0.01), (0.06, 0.03, 0.015), (0.25, 0.15, 0.05), (0.35, 0.34, 0.33))
_HI_VIS: Colour = (0.65, 0.75, 0.05)


def shifted(point: NDArray[np.float64], x: float, y: float, z: float) -> NDArray[np.float64]:
    """The point moved by x, y, z metres."""
    moved: NDArray[np.float64] = point + np.array((x, y, z))
    return moved


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of several colours."""
    return colours[rng.integers(len(colours))]


class Looks:
    """What stays the same about one person: build, clothes and what they carry."""

    def __init__(self, rng: np.random.Generator, *, child: bool = False, worker: bool = False) -> None:
        self.height = float(rng.uniform(1.0, 1.42) if child else np.clip(rng.normal(1.72, 0.09), 1.5, 1.98))
        self.girth = float(rng.uniform(0.85, 1.2)) * (0.85 if child else 1.0)
        self.skin, self.hair = pick(rng, _SKINS), pick(rng, _HAIR)
        self.top = (_HI_VIS if rng.random() < 0.6 else ORANGE) if worker else pick(rng, CLOTHES)
        self.trousers = pick(rng, CLOTHES)
        self.helmet: Colour | None = (0.75, 0.6, 0.05) if worker else None
        self.worker = worker
        self.skirt = not worker and rng.random() < 0.2
        self.backpack = pick(rng, CLOTHES) if not worker and rng.random() < 0.3 else None
        self.bag = pick(rng, CLOTHES) if not worker and rng.random() < 0.25 else None
        self.umbrella = pick(rng, CLOTHES) if not child and not worker and rng.random() < 0.04 else None


def _head(looks: Looks, at: NDArray[np.float64], scale: float) -> list[Mesh]:
    radius = 0.105 * scale
    parts = [ellipsoid((radius, 0.85 * radius, 1.2 * radius), at, looks.skin, Material.SKIN, detail=0)]
    colour, material = (looks.helmet, Material.PLASTIC) if looks.helmet else (looks.hair, Material.CLOTH)
    parts.append(
        ellipsoid(
            (1.12 * radius, radius, 0.85 * radius), shifted(at, -0.02, 0.0, 0.5 * radius), colour, material, detail=0
        )
    )
    return parts


def person(looks: Looks) -> Mesh:
    """A standing person whose hips are above the origin."""
    return merged([_limbs(looks, 0.0, 0.0), _body(looks)])


def _limbs(looks: Looks, phase: float, stride: float) -> Mesh:
    """Legs, arms and what the hands carry.

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
            box(
                (0.25 * scale, 0.09 * scale, 0.07 * scale), shifted(foot, 0.06 * scale, 0.0, 0.0), TYRE, Material.RUBBER
            )
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
                    shifted(hand, 0.0, 0.02, -0.16 * scale),
                    looks.bag,
                    Material.CLOTH,
                )
            )
        if looks.umbrella and side > 0:
            parts.append(
                tube(hand, shifted(hand, 0.0, 0.0, 0.95 * scale), 0.012, STEEL, Material.BARE_METAL, segments=4)
            )
            canopy = shifted(hand, 0.0, 0.0, 0.8 * scale)
            parts.append(
                tube(
                    canopy,
                    shifted(canopy, 0.0, 0.0, 0.2),
                    0.5,
                    looks.umbrella,
                    Material.CLOTH,
                    end_radius=0.05,
                    segments=8,
                )
            )
    return merged(parts)


def _body(looks: Looks) -> Mesh:
    """What keeps its place while the limbs swing."""
    scale = looks.height / 1.75
    hip, shoulder = 0.88 * scale, 1.42 * scale
    girth = looks.girth * scale
    chest = np.array((0.02, 0, (hip + shoulder) / 2 + 0.03))
    parts = [_trunk(hip - 0.06, shoulder + 0.06 * scale, girth, looks.top)]
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
                shifted(chest, -0.2 * girth, 0.0, 0.04),
                looks.backpack,
                Material.CLOTH,
            )
        )
    return merged(parts + _head(looks, np.array((0.02, 0, 1.62 * scale)), scale))


def _trunk(low: float, high: float, girth: float, colour: Colour) -> Mesh:
    """Hips, chest and shoulders, flatter than wide."""
    levels = ((low, 0.15), (low + 0.62 * (high - low), 0.21), (high - 0.04, 0.17), (high, 0.07))
    parts = []
    for (bottom, below), (top, above) in itertools.pairwise(levels):
        part = tube(
            (0, 0, bottom), (0, 0, top), below * girth, colour, Material.CLOTH,
            end_radius=above * girth, segments=6, closed=False,
        )  # fmt: skip
        parts.append(part)
    whole = merged(parts)
    return replace(whole, vertices=whole.vertices * np.array((0.68, 1.0, 1.0), np.float32))


def ring_band(centre: NDArray[np.float64], depth: float, width: float) -> Mesh:
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
        knee = shifted(hip, 0.42 * scale, side * 0.11, 0.03)
        foot = np.array((0.42 * scale if reach is None else 0.25, side * 0.12, feet + 0.05))
        parts.append(
            tube(
                shifted(hip, 0.0, side * 0.09, 0.0),
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
        parts.append(box((0.25 * scale, 0.09, 0.08), shifted(foot, 0.05, 0.0, 0.0), TYRE, Material.RUBBER))
        joint = shifted(shoulder, 0.0, side * 0.2 * girth, -0.05)
        elbow = (joint + shifted(hands, 0.0, side * 0.2, 0.0)) / 2 + (0, side * 0.06, -0.08)
        parts.append(tube(joint, elbow, 0.05 * girth, looks.top, Material.CLOTH, segments=5, closed=False))
        parts.append(
            tube(
                elbow,
                shifted(hands, 0.0, side * 0.22, 0.0),
                0.042 * girth,
                looks.top,
                Material.CLOTH,
                segments=5,
                closed=False,
            )
        )
    chest = hip + (shoulder - hip) * 0.52
    parts.append(
        tube(
            hip,
            shifted(shoulder, 0.0, 0.0, 0.02),
            0.17 * girth,
            looks.top,
            Material.CLOTH,
            end_radius=0.15 * girth,
            segments=7,
        )
    )
    if looks.backpack:
        parts.append(box((0.16, 0.28, 0.4), shifted(chest, -0.22, 0.0, 0.08), looks.backpack, Material.CLOTH))
    return merged(parts + _head(looks, shifted(shoulder, 0.04 + 0.1 * np.sin(lean), 0.0, 0.2 * scale), scale))


def walking_poses(looks: Looks, speed: float) -> list[Mesh]:
    """``WALK_PHASES`` poses of one walking cycle, equal triangles, on common ground and about a common centre."""
    stride = float(np.clip(0.14 + 0.16 * speed, 0.15, 0.5))
    body = _body(looks)
    poses = [merged([_limbs(looks, 2 * np.pi * index / WALK_PHASES, stride), body]) for index in range(WALK_PHASES)]
    every = np.concatenate([pose.vertices for pose in poses])
    middle = (every.min(0) + every.max(0)) / 2
    return [pose.moved((-middle[0], -middle[1], -every[:, 2].min())) for pose in poses]
