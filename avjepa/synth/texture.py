"""Procedural textures: road surface, windows in facades, grain."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray
from avjepa.synth.ground import RASTER_CELL, Ground, Surface
from avjepa.synth.materials import Material
from avjepa.synth.scenery import Facades

_NOISE_SIZE = 512


def _tileable_noise(rng: np.random.Generator) -> FloatArray:
    """(512, 512) noise of many wavelengths, mean 0, about ±1, that repeats without a seam."""
    frequency = np.fft.fftfreq(_NOISE_SIZE)[:, None] ** 2 + np.fft.fftfreq(_NOISE_SIZE)[None] ** 2
    frequency[0, 0] = 1.0
    spectrum = np.fft.fft2(rng.standard_normal((_NOISE_SIZE, _NOISE_SIZE))) / frequency**0.4
    spectrum[0, 0] = 0
    noise = np.real(np.fft.ifft2(spectrum))
    scaled: FloatArray = (noise / (2 * noise.std())).astype(np.float32)
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
        self._palette = palette

    def clouds(self, directions: FloatArray) -> FloatArray:
        """Cloud cover in [0, 1] along unit directions."""
        up = np.maximum(directions[:, 2], 0.03)
        scale = 22 / (up + 0.2)
        cover = self._smooth_sample(directions[:, 0] * scale, directions[:, 1] * scale)
        covered: FloatArray = np.clip(0.9 * cover + 0.5, 0, 1).astype(np.float32)
        covered *= np.minimum(np.maximum(directions[:, 2] * 8, 0), 1)
        return covered

    def _sample(self, x: NDArray[Any], y: NDArray[Any]) -> FloatArray:
        cells = self._noise[x.astype(np.int32) & (_NOISE_SIZE - 1), y.astype(np.int32) & (_NOISE_SIZE - 1)]
        noise: FloatArray = cells
        return noise

    def _smooth_sample(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Noise without visible cells, for where they would be larger than a pixel."""
        left, under = np.floor(x), np.floor(y)
        across, up = x - left, y - under
        low = self._sample(left, under) * (1 - across) + self._sample(left + 1, under) * across
        high = self._sample(left, under + 1) * (1 - across) + self._sample(left + 1, under + 1) * across
        smooth: FloatArray = low + (high - low) * up
        return smooth

    def albedo(
        self,
        colour: FloatArray,
        material: NDArray[np.uint8],
        face: NDArray[np.int32],
        points: FloatArray,
        normal: FloatArray,
        distance: FloatArray,
    ) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Albedo (n, 3) at hit points, written over ``colour``, and their material with windows turned to glass."""
        albedo, material = colour, material.copy()
        grain = np.ones(len(points), np.float32)
        near = np.exp(-distance / 40)
        is_ground = np.flatnonzero(material == Material.GROUND)
        if len(is_ground):
            xy = points.take(is_ground, axis=0)[:, :2]
            albedo[is_ground] = self._paved(xy, distance[is_ground])
            fine = self._sample(xy[:, 0] * 22, xy[:, 1] * 22)
            wide = self._sample(xy[:, 0] * 1.6 + 100, xy[:, 1] * 1.6)
            grain[is_ground] += 0.16 * fine * near[is_ground] + 0.18 * wide
        rough = np.flatnonzero(
            (material == Material.CONCRETE)
            | (material == Material.WOOD)
            | (material == Material.FOLIAGE)
            | (material == Material.FACADE)
        )
        if len(rough):
            at, side = points.take(rough, axis=0), normal.take(rough, axis=0)
            along = at[:, 0] * side[:, 1] - at[:, 1] * side[:, 0]
            grain[rough] += 0.2 * near[rough] * self._sample(along * 18, at[:, 2] * 18)
        albedo *= np.clip(grain, 0.3, 1.8)[:, None]
        is_facade = np.flatnonzero((material == Material.FACADE) & (np.abs(normal[:, 2]) < 0.5))
        if len(is_facade):
            self._glaze(albedo, material, is_facade, face, points)
        return albedo, material

    def _paved(self, xy: FloatArray, distance: FloatArray) -> FloatArray:
        """Ground colour; close to the camera it is interpolated, so that markings have straight edges."""
        raster = self._ground.raster.ravel()
        side = len(self._ground.raster)
        cell = np.clip(xy * np.float32(1 / RASTER_CELL) - np.float32(0.5), 0, side - 2)
        low = cell.astype(np.int32)
        index = low[:, 1] * side + low[:, 0]
        surface = raster.take(index)
        colour = self._palette.take(surface, axis=0)
        # only next to the edge of a marking does interpolation change anything
        close = np.flatnonzero(
            (distance < 30)
            & ((raster.take(index + side + 1) != surface) | (raster.take(index + 1) != raster.take(index + side)))
        )
        index, share = index[close], (cell[close] - low[close])[:, :, None]
        corner = [self._palette.take(raster.take(index + shift), axis=0) for shift in (0, 1, side, side + 1)]
        below = corner[0] + (corner[1] - corner[0]) * share[:, 0]
        above = corner[2] + (corner[3] - corner[2]) * share[:, 0]
        colour[close] = below + (above - below) * share[:, 1]
        return colour

    def _glaze(
        self,
        albedo: FloatArray,
        material: NDArray[np.uint8],
        where: NDArray[np.int64],
        face: NDArray[np.int32],
        points: FloatArray,
    ) -> None:
        """Turn the window panes among facade hits to glass, in place."""
        facades = self._facades
        block = face[where] // 12
        offset = points[where, :2] - facades.centre[block]
        cos, sin = np.cos(facades.yaw[block]), np.sin(facades.yaw[block])
        x, y = cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]
        half = facades.half[block]
        on_end = np.abs(x) / half[:, 0] > np.abs(y) / half[:, 1]
        # count bays from a wall's middle, so that patterns are symmetric and end in a piece of wall
        across = np.where(on_end, y, x) / facades.bay[block] + 0.5
        up = (points[where, 2] - facades.base[block] - 0.4) / facades.storey[block]
        bay, storey = np.floor(across), np.floor(up)
        glazing = facades.glazing[block]
        ground_floor = storey == 0
        wide = np.where(ground_floor, np.minimum(glazing[:, 0] + 0.2, 0.92), glazing[:, 0])
        window = (
            (np.abs(across - bay - 0.5) < wide / 2) & (np.abs(up - storey - 0.52) < glazing[:, 1] / 2) & (storey >= 0)
        )
        room = half[np.arange(len(where)), on_end.astype(int)] - 0.3
        window &= np.abs(np.where(on_end, y, x)) < room
        panes = where[window]
        shade = self._sample(bay[window] * 37 + block[window] * 11, storey[window] * 53)
        albedo[panes] = np.clip(0.05 + 0.05 * shade, 0.01, 0.2)[:, None]
        material[panes] = Material.GLASS
        alight = shade > 1.0 - 2 * self._lit_windows
        albedo[panes[alight]] = (1.0, 0.75, 0.4)
        material[panes[alight]] = Material.LAMP
