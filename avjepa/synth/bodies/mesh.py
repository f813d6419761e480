"""Coloured triangle meshes and the few primitives that every object of the street is built from."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray, Numbers
from avjepa.synth.bodies.materials import Material

Colour = tuple[float, float, float]
"""Linear (not gamma-coded) albedo in [0, 1]."""


@dataclass(frozen=True)
class Mesh:
    """Triangles with one colour and one material each; metres. Winding is arbitrary: sensors see both sides."""

    vertices: FloatArray
    """(vertex, 3)."""
    faces: NDArray[np.int32]
    """(face, 3), indices of vertices."""
    colour: FloatArray
    """(face, 3), linear albedo."""
    material: NDArray[np.uint8]
    """(face,), values of ``Material``."""

    @property
    def size(self) -> FloatArray:
        """Extent of the bounding box along x, y, z."""
        extent: FloatArray = self.vertices.max(0) - self.vertices.min(0)
        return extent

    @property
    def normals(self) -> FloatArray:
        """(face, 3), unit length, zero for a face without extent."""
        first, second, third = (self.vertices.take(corner, axis=0) for corner in self.faces.T)
        across = np.cross(second - first, third - first)
        unit: FloatArray = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), np.float32(1e-12))
        return unit

    def moved(self, translation: Numbers, yaw: float = 0.0) -> "Mesh":
        """The mesh turned about z by ``yaw`` radians, then shifted."""
        return replace(self, vertices=turned(self.vertices, yaw) + np.asarray(translation, np.float32))

    def rolled(self, angle: float) -> "Mesh":
        """The mesh turned about the x axis; a positive angle lowers the right side."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x, y, z = self.vertices.T
        return replace(self, vertices=np.stack((x, cos * y - sin * z, sin * y + cos * z), axis=1))

    def on_ground(self) -> "Mesh":
        """The mesh shifted so that its bounding box is centred on the z axis and stands on z = 0."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        return self.moved((-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]))


def turned(points: FloatArray, yaw: Numbers) -> FloatArray:
    """(n, 3) points turned about the z axis by ``yaw`` radians, one angle or (n,) of them."""
    cos, sin = np.cos(yaw, dtype=np.float64).astype(np.float32), np.sin(yaw, dtype=np.float64).astype(np.float32)
    x, y, z = points.T
    carried = np.empty_like(points, order="C")
    carried[:, 0], carried[:, 1], carried[:, 2] = cos * x - sin * y, sin * x + cos * y, z
    return carried


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one, in order."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]], dtype=np.int32)
    faces = np.concatenate([mesh.faces for mesh in meshes])
    faces += np.repeat(starts, [len(mesh.faces) for mesh in meshes])[:, None]
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        faces,
        np.concatenate([mesh.colour for mesh in meshes]),
        np.concatenate([mesh.material for mesh in meshes]),
    )


def painted(vertices: Numbers, faces: Numbers, colour: Colour, material: Material) -> Mesh:
    """A mesh of one colour and one material."""
    triangles = np.asarray(faces, np.int32)
    tint = np.empty((len(triangles), 3), np.float32)
    tint[:] = colour
    return Mesh(np.asarray(vertices, np.float32), triangles, tint, np.full(len(triangles), int(material), np.uint8))


_BOX_FACES = np.array(
    [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1], [1, 5, 6], [1, 6, 2], [2, 6, 7], [2, 7, 3],
     [3, 7, 4], [3, 4, 0]], np.int32
)  # fmt: skip
_BOX_CORNERS = np.array([(x, y, z) for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], np.float64)


def box(
    size: Numbers, centre: Numbers, colour: Colour, material: Material, top: tuple[float, float] = (1.0, 1.0)
) -> Mesh:
    """A cuboid; ``top`` scales its upper face along x and y."""
    corners = _BOX_CORNERS * (np.asarray(size, np.float64) / 2)
    corners[4:, :2] *= top
    return painted(corners + np.asarray(centre, np.float64), _BOX_FACES, colour, material)


def tube(
    start: Numbers,
    end: Numbers,
    radius: float,
    colour: Colour,
    material: Material,
    *,
    end_radius: float | None = None,
    segments: int = 6,
    closed: bool = True,
) -> Mesh:
    """A cylinder, or a frustum when ``end_radius`` differs, between two points; ``closed`` by a disc at both ends."""
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    x, y, z = (float(value) for value in last - first)
    length, flat = math.sqrt(x * x + y * y + z * z), math.hypot(x, y)
    # two unit vectors across the axis: one of them level
    side = (y / flat, -x / flat, 0.0) if flat > 1e-9 else (1.0, 0.0, 0.0)
    other = (-side[1] * z / length, side[0] * z / length, (x * side[1] - y * side[0]) / length)
    circle, faces = _tube_template(segments, closed)
    around = circle @ np.array((side, other))
    last_radius = radius if end_radius is None else end_radius
    vertices = np.concatenate((first + radius * around, last + last_radius * around, first[None], last[None]))
    return painted(vertices, faces, colour, material)


@functools.cache
def _tube_template(segments: int, closed: bool) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Unit circle (segment, 2) and triangles of a tube: one ring of vertices, the other, then the two middles."""
    angles = (np.arange(segments) + 0.5) * (2 * np.pi / segments)
    here = np.arange(segments)
    following = (here + 1) % segments
    low, high = np.full(segments, 2 * segments), np.full(segments, 2 * segments + 1)
    faces = [
        np.stack((here, following, following + segments), 1),
        np.stack((here, following + segments, here + segments), 1),
    ]
    if closed:
        faces += [np.stack((following, here, low), 1), np.stack((here + segments, following + segments, high), 1)]
    return np.column_stack((np.cos(angles), np.sin(angles))), np.concatenate(faces).astype(np.int32)


def ring(
    centre: Numbers, radius: float, width: float, thickness: float, colour: Colour, material: Material, segments: int
) -> Mesh:
    """A tyre: an open band about an axis along y, ``thickness`` deep in the radial direction."""
    angles = np.arange(segments) * (2 * np.pi / segments)
    circle = np.stack((np.cos(angles), np.zeros(segments), np.sin(angles)), 1)
    side = np.array((0.0, width / 2, 0.0))
    outer, inner = radius * circle, (radius - thickness) * circle
    vertices = np.concatenate((outer - side, outer + side, inner + side, inner - side)) + np.asarray(centre)
    here = np.arange(segments)
    following = (here + 1) % segments
    bands = []
    for band in range(4):
        near, far = band * segments, ((band + 1) % 4) * segments
        bands.append(np.stack((here + near, following + near, following + far), 1))
        bands.append(np.stack((here + near, following + far, here + far), 1))
    return painted(vertices, np.concatenate(bands), colour, material)


def extruded(profile: Numbers, width: float, colour: Colour, material: Material, bevel: float = 0.0) -> Mesh:
    """A side view (x, z), star-shaped about its mean, extruded along y; ``bevel`` metres round its long edges."""
    outline = np.asarray(profile, np.float64)
    middle = outline.mean(0)
    extent = np.ptp(outline, axis=0)
    inset = middle + (outline - middle) * (1 - 2 * bevel / np.maximum(extent, 1e-6))
    count = len(outline)
    slices = [(-width / 2, inset), (-width / 2 + bevel, outline), (width / 2 - bevel, outline), (width / 2, inset)]
    if bevel == 0:
        slices = [(-width / 2, outline), (width / 2, outline)]
    rings = [np.column_stack((part[:, 0], np.full(count, y), part[:, 1])) for y, part in slices]
    caps = [np.array([[middle[0], y, middle[1]]]) for y in (-width / 2, width / 2)]
    here = np.arange(count)
    following = (here + 1) % count
    faces = []
    for index in range(len(slices) - 1):
        near, far = index * count, (index + 1) * count
        faces.append(np.stack((here + near, following + near, following + far), 1))
        faces.append(np.stack((here + near, following + far, here + far), 1))
    last, apex = (len(slices) - 1) * count, len(slices) * count
    faces.append(np.stack((following, here, np.full(count, apex)), 1))
    faces.append(np.stack((here + last, following + last, np.full(count, apex + 1)), 1))
    return painted(np.concatenate(rings + caps), np.concatenate(faces), colour, material)


def pane(
    corners: Numbers,
    across: tuple[float, float],
    along: tuple[float, float],
    outward: Numbers,
    colour: Colour,
    material: Material,
) -> Mesh:
    """A rectangle set on a quadrilateral face, as a window in a door.

    Args:
        corners: (4, 3): lower start, lower end, upper end, upper start of the face.
        across: from and to, as fractions along the face.
        along: from and to, as fractions up the face.
        outward: shift in metres that lifts the pane off its face.
        colour: albedo.
        material: usually glass.
    """
    lower_start, lower_end, upper_end, upper_start = np.asarray(corners, np.float64)

    def point(u: float, v: float) -> NDArray[np.float64]:
        low = lower_start + (lower_end - lower_start) * u
        high = upper_start + (upper_end - upper_start) * u
        blended: NDArray[np.float64] = low + (high - low) * v
        return blended

    vertices = [
        point(u, v) for u, v in zip((across[0], across[1], across[1], across[0]), np.repeat(along, 2), strict=True)
    ]
    return painted(np.array(vertices) + np.asarray(outward), [[0, 1, 2], [0, 2, 3]], colour, material)


def _icosphere(subdivisions: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    golden = (1 + 5**0.5) / 2
    vertices = [
        (-1, golden, 0),
        (1, golden, 0),
        (-1, -golden, 0),
        (1, -golden, 0),
        (0, -1, golden),
        (0, 1, golden),
        (0, -1, -golden),
        (0, 1, -golden),
        (golden, 0, -1),
        (golden, 0, 1),
        (-golden, 0, -1),
        (-golden, 0, 1),
    ]
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6),
             (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11), (6, 2, 10),
             (8, 6, 7), (9, 8, 1)]  # fmt: skip
    points = [np.array(v) / np.linalg.norm(v) for v in vertices]
    for _ in range(subdivisions):
        middles: dict[tuple[int, int], int] = {}
        finer = []

        def middle(a: int, b: int, known: dict[tuple[int, int], int] = middles) -> int:
            key = (min(a, b), max(a, b))
            if key not in known:
                known[key] = len(points)
                between = points[a] + points[b]
                points.append(between / np.linalg.norm(between))
            return known[key]

        for a, b, c in faces:
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            finer += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = finer
    return np.array(points), np.array(faces)


_SPHERES = {
    level: (vertices, faces.astype(np.int32)) for level, (vertices, faces) in enumerate(map(_icosphere, range(3)))
}


def ellipsoid(radii: Numbers, centre: Numbers, colour: Colour, material: Material, detail: int = 1) -> Mesh:
    """An ellipsoid of 20, 80 or 320 triangles (``detail`` 0, 1, 2)."""
    vertices, faces = _SPHERES[detail]
    return painted(vertices * np.asarray(radii) + np.asarray(centre), faces, colour, material)


def foliage(rng: np.random.Generator, radii: Numbers, centre: Numbers, colour: Colour, detail: int = 1) -> Mesh:
    """A leafy lump: an ellipsoid with dents, its triangles in slightly different greens."""
    vertices, faces = _SPHERES[detail]
    dented = vertices * rng.uniform(0.72, 1.0, (len(vertices), 1))
    mesh = painted(dented * np.asarray(radii) + np.asarray(centre), faces, colour, Material.FOLIAGE)
    shade = rng.uniform(0.6, 1.25, (len(faces), 1)).astype(np.float32)
    return replace(mesh, colour=mesh.colour * shade)
