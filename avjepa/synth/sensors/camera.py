"""Pinhole cameras: one ray through the middle of every pixel, shaded with sun, sky, shadow, texture and haze.

Vectors and colours of many pixels are kept as three planes (3, pixel): arithmetic along pixels is what is fast.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.bodies.materials import OPTICS, Material
from avjepa.synth.bodies.texture import Textures
from avjepa.synth.sensors.casting import Moment
from avjepa.synth.sensors.hits import Hits, dot
from avjepa.synth.sensors.lighting import Lighting
from avjepa.synth.sensors.pixels import standing_in_image
from avjepa.synth.sensors.rig import ASPECT, Mount, RigidPose
from avjepa.synth.traffic.movers import BOX_EDGES, paired

_SHADOW_STRIDE = 2
_NEAREST = 0.05
JPEG_QUALITY = 90


def image_size(width: int) -> tuple[int, int]:
    """(width, height) of the images."""
    return width, round(width * ASPECT)


def pixel_directions(mount: Mount, width: int, height: int) -> FloatArray:
    """(height * width, 3) unit vectors in the camera frame (x right, y down, z forward), row by row.

    The pixel in column c and row r covers [c, c + 1) × [r, r + 1) of the coordinates that the intrinsic matrix yields.
    """
    (focal_x, _, centre_x), (_, focal_y, centre_y), _ = mount.intrinsic
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    directions = np.stack(((u - centre_x) / focal_x, (v - centre_y) / focal_y, np.ones_like(u)), axis=-1).reshape(-1, 3)
    unit: FloatArray = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    return unit


class Camera:
    """Renders what one camera sees.

    Args:
        mount: calibration.
        width: image width in pixels.
        lighting: of the scene.
        textures: of the scene.
    """

    def __init__(self, mount: Mount, width: int, lighting: Lighting, textures: Textures) -> None:
        self.width, self.height = image_size(width)
        self._mount = mount
        self._lighting = lighting
        self._textures = textures
        self._directions = np.ascontiguousarray(pixel_directions(mount, self.width, self.height).T)
        self._pixels = np.arange(self.width * self.height).reshape(self.height, self.width)
        self._coarse = self._pixels[::_SHADOW_STRIDE, ::_SHADOW_STRIDE].ravel()
        # drawn once and read from a random place for every image: drawing costs more than the shading's arithmetic
        self._noise = np.random.default_rng(0).standard_normal(5 * self.width * self.height, dtype=np.float32)

    def render(self, moment: Moment, global_from_ego: RigidPose, rng: np.random.Generator) -> NDArray[np.uint8]:
        """An RGB image (height, width, 3), uint8."""
        global_from_camera = global_from_ego.matrix @ self._mount.ego_from_sensor
        origin = global_from_camera[:3, 3].astype(np.float32)
        directions = global_from_camera[:3, :3].astype(np.float32) @ self._directions
        hits = standing_in_image(moment, origin, directions, self._directions[2].reshape(self.height, self.width))
        moment.movers.improve(hits, origin, directions, paired(self._windows(moment, global_from_camera)))
        away = dot(hits.normal, directions) > 0
        np.negative(hits.normal, out=hits.normal, where=away)
        image = np.empty_like(directions)
        missed, found = np.flatnonzero(~hits.found), np.flatnonzero(hits.found)
        sky = self._sky(directions.take(missed, axis=1))
        lit = self._shadows(moment, hits, origin, directions)
        shaded = self._shaded(moment, hits, found, origin, directions.take(found, axis=1), lit.take(found))
        for plane, above, below in zip(image, sky, shaded, strict=True):
            plane[missed], plane[found] = above, below
        return self._exposed(image, rng)

    def _windows(self, moment: Moment, global_from_camera: Array) -> list[NDArray[np.int64]]:
        """Per mover, indices of the pixels in the rectangle around its projected box."""
        matrix = global_from_camera.astype(np.float32)
        local = (moment.movers.corners - matrix[:3, 3]) @ matrix[:3, :3]
        start, end = local[:, BOX_EDGES[:, 0]], local[:, BOX_EDGES[:, 1]]
        # a box that reaches behind the camera is cut off there
        share = (_NEAREST - start[..., 2:]) / np.where(start[..., 2:] == end[..., 2:], 1, end[..., 2:] - start[..., 2:])
        cut = start + share * (end - start)
        points = np.concatenate(
            (np.where(start[..., 2:] < _NEAREST, cut, start), np.where(end[..., 2:] < _NEAREST, cut, end)), axis=1
        )
        hidden = np.tile(np.maximum(start[..., 2], end[..., 2]) < _NEAREST, (1, 2))
        (focal, _, centre_x), (_, _, centre_y), _ = self._mount.intrinsic
        size = (self.width, self.height)
        hidden = hidden[..., None]
        projected = focal * points[..., :2] / np.maximum(points[..., 2:], _NEAREST) + (centre_x, centre_y)
        low = np.clip(np.where(hidden, np.inf, projected).min(1) - 1, 0, size).astype(int)
        high = np.clip(np.where(hidden, -np.inf, projected).max(1) + 2, 0, size).astype(int)
        return [
            self._pixels[top:bottom, left:right].ravel() for (left, top), (right, bottom) in zip(low, high, strict=True)
        ]

    def sector(self, global_from_ego: RigidPose) -> tuple[float, float]:
        """Global heading of the optical axis and half the horizontal field of view, radians."""
        axis = (global_from_ego.rotation * self._mount.rotation).rotate(np.array((0.0, 0.0, 1.0)))
        (focal, _, _), _, _ = self._mount.intrinsic
        return float(np.arctan2(axis[1], axis[0])), float(np.arctan(0.55 * self.width / focal))

    def _sky(self, directions: FloatArray) -> FloatArray:
        """Radiance (3, n) of the sky along directions (3, n)."""
        light = self._lighting
        sky = self._clear_sky(np.maximum(directions[2], 0))
        if light.clouds > 0:
            cover = self._textures.clouds(directions) * np.float32(light.clouds)
            sky += cover * (np.float32(0.75) * light.horizon.mean() - np.float32(0.6) * (sky - np.float32(0.25)))
        behind = np.clip(dot(directions, light.towards_sun), 0, 1) - 1
        sky += light.sun[:, None] * (3 * np.exp(400 * behind) + np.float32(0.12) * np.exp(8 * behind))
        return sky

    def _clear_sky(self, up: FloatArray) -> FloatArray:
        """Radiance (3, n) at sines ``up`` of the elevation, none negative."""
        light = self._lighting
        sky: FloatArray = (light.zenith - light.horizon)[:, None] * np.sqrt(up)
        sky += light.horizon[:, None]
        return sky

    def _shadows(self, moment: Moment, hits: Hits, origin: FloatArray, directions: FloatArray) -> NDArray[np.bool_]:
        """Which pixels the sun reaches, found at every second pixel of every second row."""
        towards = self._lighting.towards_sun
        # what is turned away from the sun needs no ray
        stride = _SHADOW_STRIDE
        normal = hits.normal.reshape(3, self.height, self.width)[:, ::stride, ::stride].reshape(3, -1)
        facing = np.flatnonzero((hits.face.take(self._coarse) >= 0) & (dot(normal, towards) > 0))
        asked = self._coarse.take(facing)
        start = directions.take(asked, axis=1) * hits.distance.take(asked)
        start += normal.take(facing, axis=1) * np.float32(0.03) + origin[:, None]
        coarse = np.zeros(len(self._coarse), bool)
        coarse[facing] = moment.lit(start, towards)
        blocks = coarse.reshape(-(-self.height // stride), -1)
        return np.repeat(np.repeat(blocks, stride, axis=0), stride, axis=1)[: self.height, : self.width].ravel()

    def _shaded(
        self,
        moment: Moment,
        hits: Hits,
        found: NDArray[np.int64],
        origin: FloatArray,
        directions: FloatArray,
        lit: NDArray[np.bool_],
    ) -> FloatArray:
        """Radiance (3, n) of the surfaces that the pixels ``found`` show."""
        light = self._lighting
        # numpy looks up by intp alone, and would convert each time
        face = hits.face.take(found).astype(np.intp)
        normal, distance = hits.normal.take(found, axis=1), hits.distance.take(found)
        points = directions * distance
        points += origin[:, None]
        albedo = moment.surfaces.colour.take(face, axis=1)
        material = self._textures.paint(albedo, moment.surfaces.material.take(face), face, points, normal, distance)
        facing_sun = dot(normal, light.towards_sun)
        sunlit, overhead = np.maximum(facing_sun, 0) * lit, np.float32(0.7) + np.float32(0.3) * normal[2]
        radiance: FloatArray = light.sun[:, None] * sunlit
        radiance += light.ambient[:, None] * overhead
        radiance *= albedo
        gloss = OPTICS.gloss.take(material)
        shiny = np.flatnonzero(gloss > 0)
        gloss, sideways = gloss.take(shiny), directions.take(shiny, axis=1)
        facets = normal.take(shiny, axis=1)
        cosine = dot(facets, sideways)
        # of the mirrored ray, direction - 2 cosine normal, only its height and its angle to the sun matter
        up = sideways[2] - 2 * cosine * facets[2]
        to_sun = np.clip(dot(sideways, light.towards_sun) - 2 * cosine * facing_sun.take(shiny), 0, 1)
        edge = 1 - np.abs(cosine)
        share = np.minimum(gloss + (1 - gloss) * np.float32(0.6) * edge * edge * edge * edge, np.float32(0.9))
        mirrored = np.where(up > 0.05, self._clear_sky(np.maximum(up, 0)), np.float32(0.35) * light.ambient[:, None])
        glint = np.float32(2.5) * np.exp(60 * (to_sun - 1)) * share * lit.take(shiny)
        mirrored *= share
        mirrored += glint * light.sun[:, None]
        mirrored += radiance.take(shiny, axis=1) * (1 - np.float32(0.5) * share)
        lamp = np.flatnonzero(material == Material.LAMP)
        glow = albedo.take(lamp, axis=1) * np.float32(light.lamps)
        for plane, gloss_plane, lamp_plane in zip(radiance, mirrored, glow, strict=True):
            plane[shiny] = gloss_plane
            plane[lamp] += lamp_plane
        radiance -= light.horizon[:, None]
        radiance *= np.exp(distance * np.float32(-1 / light.visibility))
        radiance += light.horizon[:, None]
        return radiance

    def _exposed(self, radiance: FloatArray, rng: np.random.Generator) -> NDArray[np.uint8]:
        light = self._lighting
        signal = radiance
        signal *= np.float32(light.exposure)
        np.clip(signal, 0, 4, out=signal)
        # shot noise grows with the square root of the light, read noise does not
        start = int(rng.integers(len(self._noise) - signal.size))
        noise = np.sqrt(signal + np.float32(0.15))
        noise *= self._noise[start : start + signal.size].reshape(signal.shape)
        noise *= np.float32(light.noise)
        signal += noise
        np.maximum(signal, 0, out=signal)
        # a soft shoulder keeps the sky from burning out
        curve = signal * np.float32(0.16)
        curve += 1
        curve *= signal
        signal += 1
        curve /= signal
        curve *= np.float32(1.45 * 235**2)
        np.sqrt(curve, out=curve)
        np.minimum(curve, 255, out=curve)
        image = np.empty((self.height * self.width, 3), np.uint8)
        for channel, plane in enumerate(curve):
            image[:, channel] = plane
        return image.reshape(self.height, self.width, 3)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An RGB image as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
