"""Procedural textures: road surface, windows in facades, grain."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray
from avjepa.synth.bodies.materials import Material
from avjepa.synth.street.ground import RASTER_CELL, Ground, Surface
from avjepa.synth.street.scenery import Facades

_NOISE_SIZE = 512
_LAMPLIGHT = np.array((1.0, 0.75, 0.4), np.float32)
_IS_ROUGH = np.isin(np.arange(len(Material)), (Material.CONCRETE, Material.WOOD, Material.FOLIAGE, Material.FACADE))


def _tileable_noise(rng: np.random.Generator) -> FloatArray:
    """(512, 512) noise of many wavelengths, mean 0, about ±1, that repeats without a seam."""
    frequency = np.fft.fftfreq(_NOISE_SIZE)[:, None] ** 2 + np.fft.fftfreq(_NOISE_SIZE)[None] ** 2
    frequency[0, 0] = 1.0
    spectrum = np.fft.fft2(rng.standard_normal((_NOISE_SIZE, _NOISE_SIZE))) / frequency**0.4
    spectrum[0, 0] = 0
    noise = np.real(np.fft.ifft2(spectrum))
    scaled: FloatArray = np.ascontiguousarray(noise / (2 * noise.std()), np.float32)
    return scaled


class Textures:
    """Colour variation within a material.

    Args:
        rng: chooses tints and grain.
        ground: its raster says what covers the ground.
        facades: window patterns of the building blocks.
        lit_windows: share of windows with light behind them.
    """

    def __init__(self, rng: np.random.Generator, ground: Ground, facades: Facades, lit_windows: float) -> None:
        self._noise = _tileable_noise(rng)
        self._ground = ground
        self._facades = facades
        self._lit_windows = lit_windows
        tint, grass = rng.uniform(0.75, 1.2), rng.uniform(0.8, 1.2)
        palette = np.zeros((len(Surface), 3), np.float32)
        palette[Surface.GRASS] = np.array((0.10, 0.14, 0.04)) * grass
        palette[Surface.PAVING] = np.array((0.26, 0.23, 0.19)) * rng.uniform(0.8, 1.1)
        palette[Surface.ASPHALT] = np.array((0.105, 0.105, 0.11)) * tint
        palette[Surface.PATCH] = np.array((0.065, 0.065, 0.07)) * tint
        palette[Surface.WHITE_MARKING] = 0.58
        palette[Surface.YELLOW_MARKING] = (0.50, 0.36, 0.05)
        palette[Surface.SIDEWALK] = np.array((0.30, 0.28, 0.26)) * rng.uniform(0.8, 1.15)
        palette[Surface.SIDEWALK_JOINT] = palette[Surface.SIDEWALK] * 0.72
        self._palette = np.ascontiguousarray(palette.T)

    def clouds(self, directions: FloatArray) -> FloatArray:
        """Cloud cover in [0, 1] along unit directions (3, n)."""
        x, y, z = directions
        scale = 22 / (np.maximum(z, np.float32(0.03)) + np.float32(0.2))
        cover = np.clip(np.float32(0.9) * self._smooth_sample(x * scale, y * scale) + np.float32(0.5), 0, 1)
        covered: FloatArray = cover * np.minimum(np.maximum(z * 8, 0), 1)
        return covered

    def _sample(self, x: NDArray[Any], y: NDArray[Any]) -> FloatArray:
        mask = np.int32(_NOISE_SIZE - 1)
        cell = (x.astype(np.int32) & mask) * np.int32(_NOISE_SIZE) + (y.astype(np.int32) & mask)
        noise: FloatArray = self._noise.ravel().take(cell)
        return noise

    def _smooth_sample(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Noise without visible cells, for where they would be larger than a pixel."""
        left, under = np.floor(x), np.floor(y)
        across, up = x - left, y - under
        low = self._sample(left, under) * (1 - across) + self._sample(left + 1, under) * across
        high = self._sample(left, under + 1) * (1 - across) + self._sample(left + 1, under + 1) * across
        smooth: FloatArray = low + (high - low) * up
        return smooth

    def paint(
        self,
        albedo: FloatArray,
        material: NDArray[np.uint8],
        face: NDArray[np.intp],
        points: FloatArray,
        normal: FloatArray,
        distance: FloatArray,
    ) -> NDArray[np.uint8]:
        """Turn the colour of faces into the albedo at hit points, in place.

        Args:
            albedo: (3, n), colour of the faces.
            material: (n,), of the faces.
            face: (n,), index.
            points: (3, n), global frame.
            normal: (3, n), unit length.
            distance: (n,), from the camera, m.

        Returns:
            The material at the hit points: window panes are of glass.
        """
        grain = np.ones(len(distance), np.float32)
        near = np.exp(distance * np.float32(-1 / 40))
        is_ground = np.flatnonzero(material == Material.GROUND)
        x, y = points[:2].take(is_ground, axis=1)
        for plane, paving in zip(albedo, self._paved(x, y, distance.take(is_ground)), strict=True):
            plane[is_ground] = paving
        fine, wide = self._sample(x * 22, y * 22), self._sample(x * np.float32(1.6) + 100, y * np.float32(1.6))
        grain[is_ground] += np.float32(0.16) * fine * near.take(is_ground) + np.float32(0.18) * wide
        rough = np.flatnonzero(_IS_ROUGH.take(material))
        at, side = points.take(rough, axis=1), normal[:2].take(rough, axis=1)
        along = at[0] * side[1] - at[1] * side[0]
        grain[rough] += np.float32(0.2) * near.take(rough) * self._sample(along * 18, at[2] * 18)
        albedo *= np.clip(grain, np.float32(0.3), np.float32(1.8))
        is_facade = np.flatnonzero((material == Material.FACADE) & (np.abs(normal[2]) < 0.5))
        return self._glazed(albedo, material, is_facade, face, points)

    def _paved(self, x: FloatArray, y: FloatArray, distance: FloatArray) -> FloatArray:
        """Ground colour (3, n); close to the camera it is interpolated, so that markings have straight edges."""
        raster = self._ground.raster.ravel()
        side = np.int32(len(self._ground.raster))
        scale, half, last = np.float32(1 / RASTER_CELL), np.float32(0.5), np.float32(side - 2)
        column, row = np.clip(x * scale - half, 0, last), np.clip(y * scale - half, 0, last)
        left, under = column.astype(np.int32), row.astype(np.int32)
        index = under * side + left
        surface = raster.take(index)
        colour: FloatArray = self._palette.take(surface, axis=1)
        # only next to the edge of a marking does interpolation change anything
        close = np.flatnonzero(distance < 30)
        near = index.take(close)
        corner = [surface.take(close), *(raster.take(near + shift) for shift in (1, side, side + 1))]
        edge = np.flatnonzero((corner[3] != corner[0]) | (corner[1] != corner[2]))
        close = close.take(edge)
        across, up = (column - left).take(close), (row - under).take(close)
        tones = [self._palette.take(each.take(edge), axis=1) for each in corner]
        below, above = tones[0] + (tones[1] - tones[0]) * across, tones[2] + (tones[3] - tones[2]) * across
        blended = below + (above - below) * up
        for plane, values in zip(colour, blended, strict=True):
            plane[close] = values
        return colour

    def _glazed(
        self,
        albedo: FloatArray,
        material: NDArray[np.uint8],
        where: NDArray[np.int64],
        face: NDArray[np.intp],
        points: FloatArray,
    ) -> NDArray[np.uint8]:
        """Paint the window panes among facade hits, and say what is glass now."""
        facades = self._facades
        block = face.take(where) // 12
        height = points[2].take(where)
        x, y = (
            points[0].take(where) - facades.centre[:, 0].take(block),
            points[1].take(where) - facades.centre[:, 1].take(block),
        )
        cos, sin = np.cos(facades.yaw).take(block), np.sin(facades.yaw).take(block)
        x, y = cos * x + sin * y, cos * y - sin * x
        half_x, half_y = facades.half[:, 0].take(block), facades.half[:, 1].take(block)
        on_end = np.abs(x) * half_y > np.abs(y) * half_x
        # count bays from a wall's middle, so that patterns are symmetric and end in a piece of wall
        sideways = np.where(on_end, y, x)
        across = sideways / facades.bay.take(block) + np.float32(0.5)
        up = (height - facades.base.take(block) - np.float32(0.4)) / facades.storey.take(block)
        bay, storey = np.floor(across), np.floor(up)
        width, rise = facades.glazing[:, 0].take(block), facades.glazing[:, 1].take(block)
        wide = np.where(storey == 0, np.minimum(width + np.float32(0.2), np.float32(0.92)), width)
        window = (
            (np.abs(across - bay - np.float32(0.5)) < wide / 2)
            & (np.abs(up - storey - np.float32(0.52)) < rise / 2)
            & (storey >= 0)
            & (np.abs(sideways) < np.where(on_end, half_y, half_x) - np.float32(0.3))
        )
        shown = np.flatnonzero(window)
        panes = where.take(shown)
        shade = self._sample(bay.take(shown) * 37 + block.take(shown) * 11, storey.take(shown) * 53)
        material, alight = material.copy(), shade > 1.0 - 2 * self._lit_windows
        material[panes] = np.where(alight, np.uint8(Material.LAMP), np.uint8(Material.GLASS))
        dark = np.clip(np.float32(0.05) + np.float32(0.05) * shade, np.float32(0.01), np.float32(0.2))
        for plane, warm in zip(albedo, _LAMPLIGHT, strict=True):
            plane[panes] = np.where(alight, warm, dark)
        return material
