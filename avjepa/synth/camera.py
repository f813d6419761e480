"""Pinhole cameras: one ray through the middle of every pixel, shaded with sun, sky, shadow, texture and haze."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avjepa.synth.arrays import FloatArray
from avjepa.synth.casting import Hits, Moment
from avjepa.synth.lighting import Lighting
from avjepa.synth.materials import OPTICS, Material
from avjepa.synth.rig import ASPECT, Mount, RigidPose
from avjepa.synth.texture import Textures

_SHADOW_STRIDE = 2
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
        self._directions = pixel_directions(mount, self.width, self.height)
        # drawn once and read from a random place for every image: drawing costs more than the shading's arithmetic
        self._noise = np.random.default_rng(0).standard_normal(5 * self.width * self.height, dtype=np.float32)

    def render(self, moment: Moment, global_from_ego: RigidPose, rng: np.random.Generator) -> NDArray[np.uint8]:
        """An RGB image (height, width, 3), uint8."""
        global_from_camera = global_from_ego.matrix @ self._mount.ego_from_sensor
        origin = global_from_camera[:3, 3].astype(np.float32)
        directions = self._directions @ global_from_camera[:3, :3].T.astype(np.float32)
        hits = moment.cast(origin, directions)
        image = np.empty_like(directions)
        missed, found = np.flatnonzero(~hits.found), np.flatnonzero(hits.found)
        image[missed] = self._sky(directions[missed])
        lit = self._shadows(moment, hits, origin, directions)
        ahead = directions.take(found, axis=0)
        points = origin + ahead * hits.distance.take(found)[:, None]
        image[found] = self._shaded(moment, hits, found, points, ahead, lit.take(found))
        return self._exposed(image, rng)

    def sector(self, global_from_ego: RigidPose) -> tuple[float, float]:
        """Global heading of the optical axis and half the horizontal field of view, radians."""
        axis = (global_from_ego.rotation * self._mount.rotation).rotate(np.array((0.0, 0.0, 1.0)))
        (focal, _, _), _, _ = self._mount.intrinsic
        return float(np.arctan2(axis[1], axis[0])), float(np.arctan(0.55 * self.width / focal))

    def _sky(self, directions: FloatArray) -> FloatArray:
        light = self._lighting
        up = np.clip(directions[:, 2:], 0, 1)
        sky: FloatArray = light.horizon + (light.zenith - light.horizon) * np.sqrt(up)
        if light.clouds > 0:
            cover = self._textures.clouds(directions) * light.clouds
            sky += cover[:, None] * (0.75 * light.horizon.mean() - 0.6 * (sky - 0.25))
        towards = np.clip(directions @ light.towards_sun, 0, 1)
        disc, glow = np.exp(400 * (towards - 1)), np.exp(8 * (towards - 1))
        sky += (3 * disc + 0.12 * glow)[:, None] * light.sun
        return sky

    def _shadows(self, moment: Moment, hits: Hits, origin: FloatArray, directions: FloatArray) -> NDArray[np.bool_]:
        """Which pixels the sun reaches, found at every second pixel of every second row."""
        stride = _SHADOW_STRIDE
        coarse = np.zeros((self.height, self.width), bool)
        coarse[::stride, ::stride] = True
        asked = np.flatnonzero(coarse.ravel() & hits.found)
        towards = self._lighting.towards_sun
        start = origin + directions[asked] * hits.distance[asked, None] + hits.normal[asked] * np.float32(0.03)
        facing = hits.normal[asked] @ towards > 0
        lit = np.zeros(len(directions), bool)
        lit[asked[facing]] = moment.lit(start[facing], towards)
        blocks = lit.reshape(self.height, self.width)[::stride, ::stride]
        return np.repeat(np.repeat(blocks, stride, axis=0), stride, axis=1)[: self.height, : self.width].ravel()

    def _shaded(
        self,
        moment: Moment,
        hits: Hits,
        found: NDArray[np.int64],
        points: FloatArray,
        directions: FloatArray,
        lit: NDArray[np.bool_],
    ) -> FloatArray:
        light = self._lighting
        face, normal, distance = hits.face.take(found), hits.normal.take(found, axis=0), hits.distance.take(found)
        material = moment.surfaces.material.take(face)
        albedo, material = self._textures.albedo(
            moment.surfaces.colour.take(face, axis=0), material, face, points, normal, distance
        )
        facing_sun = normal @ light.towards_sun
        sunlit = np.maximum(facing_sun, 0) * lit
        overhead = 0.7 + 0.3 * normal[:, 2]
        radiance: FloatArray = albedo * (sunlit[:, None] * light.sun + overhead[:, None] * light.ambient)
        gloss = OPTICS.gloss.take(material)
        shiny = np.flatnonzero(gloss > 0)
        gloss, sideways = gloss.take(shiny), directions.take(shiny, axis=0)
        cosine = np.einsum("ij,ij->i", normal.take(shiny, axis=0), sideways)
        # of the mirrored ray, direction - 2 cosine normal, only its height and its angle to the sun matter
        up = sideways[:, 2] - 2 * cosine * normal[shiny, 2]
        to_sun = np.clip(sideways @ light.towards_sun - 2 * cosine * facing_sun[shiny], 0, 1)
        edge = 1 - np.abs(cosine)
        share = np.minimum(gloss + (1 - gloss) * 0.6 * edge * edge * edge * edge, 0.9)
        sky = light.horizon + (light.zenith - light.horizon) * np.sqrt(np.maximum(up, 0))[:, None]
        reflection = np.where(up[:, None] > 0.05, sky, 0.35 * light.ambient)
        glint = 2.5 * np.exp(60 * (to_sun - 1)) * share * lit[shiny]
        radiance[shiny] = (
            radiance[shiny] * (1 - 0.5 * share)[:, None] + share[:, None] * reflection + glint[:, None] * light.sun
        )
        lamp = material == Material.LAMP
        radiance[lamp] += albedo[lamp] * np.float32(light.lamps)
        clear = np.exp(-distance / light.visibility)[:, None]
        radiance -= light.horizon
        radiance *= clear
        radiance += light.horizon
        return radiance

    def _exposed(self, radiance: FloatArray, rng: np.random.Generator) -> NDArray[np.uint8]:
        light = self._lighting
        radiance *= np.float32(light.exposure)
        signal = np.clip(radiance, 0, 4)
        # shot noise grows with the square root of the light, read noise does not
        start = int(rng.integers(len(self._noise) - signal.size))
        noise = self._noise[start : start + signal.size].reshape(signal.shape)
        signal = np.maximum(signal + noise * (light.noise * np.sqrt(0.15 + signal)), 0)
        # a soft shoulder keeps the sky from burning out
        curve = (signal * (1 + signal * 0.16)) / (1 + signal)
        coded = np.sqrt(curve * 1.45) * 235
        image: NDArray[np.uint8] = np.clip(coded, 0, 255).astype(np.uint8).reshape(self.height, self.width, 3)
        return image


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An RGB image as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
