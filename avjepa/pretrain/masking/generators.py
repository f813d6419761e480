"""Which cells of the token grid are hidden from the context encoder.

Every generator ranks all cells of a sample, first to be hidden first; the ratios then say how far down the list hiding
goes, separately among occupied and among empty cells. So a ratio holds exactly in every sample, whatever the shapes.
A sample's mask depends on its seed and its own input alone: not on the device, the batch or the number of processes.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from avjepa.encoders.base import BEVMap, Tokens
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_range

Map = NDArray[np.float64]
_SMALLEST, _LARGEST = 1e-2, 1e3  # of lengths (m) and ratios of them: beyond, masks would be made of millions of pieces
_STREAM = 0x6D61736B  # keeps the masks' random numbers apart from others drawn from the same seed


class MaskGenerator(ABC):
    """Draws the hidden cells of every sample.

    Attributes:
        hidden_for: seconds for which they have been hidden; ``None`` for as long as the sensors look back.
    """

    hidden_for: float | None = None

    def shown(self, tokens: Tokens) -> Tokens:
        """The tokens as the context encoder is shown them, with what it may remember of hidden cells."""
        return tokens if self.hidden_for is None else tokens.recalling(self.hidden_for)

    def remembered(self, context: BEVMap) -> Bool[Tensor, "batch y x"] | None:
        """Cells of which the context encoder knows though they may be hidden now; ``None`` for none."""
        return None if self.hidden_for is None else context.observed

    def sample(
        self,
        occupied: Bool[Tensor, "batch y x"],
        seeds: Int64[Tensor, "batch"],
        grid: BEVGrid,
        sensor_xy: Float[Tensor, "batch 2"],
    ) -> Bool[Tensor, "batch y x"]:
        """The hidden cells.

        Args:
            occupied: cells about which the sensor said something.
            seeds: one random number per sample.
            grid: the token grid, with the shape of ``occupied``.
            sensor_xy: where ranges and shadows start, in metres.

        Returns:
            At least one occupied cell stays visible and, wherever the grid has two cells, at least one is masked.
        """
        if tuple(occupied.shape[1:]) != grid.shape:
            raise ValueError(f"MaskGenerator: map of {tuple(occupied.shape[1:])} cells on a grid of {grid.shape}")
        inputs = (occupied.cpu().numpy(), seeds.tolist(), sensor_xy.double().cpu().numpy())
        masked = [
            self.draw(full, np.random.default_rng((seed % 2**64, _STREAM)), grid, xy)
            for full, seed, xy in zip(*inputs, strict=True)
        ]
        return torch.from_numpy(np.stack(masked)).to(occupied.device, non_blocking=True)

    @abstractmethod
    def draw(
        self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map
    ) -> NDArray[np.bool_]:
        """The hidden cells of one sample, (Y, X)."""


class RankedMasks(MaskGenerator):
    """A generator that ranks the cells and hides the first of them.

    Args:
        occupied_ratio: share of the occupied cells that is masked.
        empty_ratio: share of the empty cells that is masked.
    """

    def __init__(self, occupied_ratio: float = 0.5, empty_ratio: float = 0.5) -> None:
        name = type(self).__name__
        if not 0 < occupied_ratio < 1:
            raise UserError(f"{name}.occupied_ratio: {occupied_ratio} leaves nothing to learn; choose 0 < ratio < 1")
        if not 0 <= empty_ratio < 1:
            raise UserError(f"{name}.empty_ratio: {empty_ratio} is not a share; choose 0 <= ratio < 1")
        self.occupied_ratio, self.empty_ratio = occupied_ratio, empty_ratio

    @abstractmethod
    def rank(self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map) -> Map:
        """A number per cell, (Y, X): the smaller, the sooner the cell is masked."""

    def draw(
        self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map
    ) -> NDArray[np.bool_]:
        """The first cells of the ranking, as many of each kind as the ratios say."""
        occupied = occupied.ravel()
        rank = self.rank(occupied.reshape(grid.shape), random, grid, sensor_xy).ravel()
        full, empty = np.flatnonzero(occupied), np.flatnonzero(~occupied)
        hide_full = 0 if len(full) < 2 else int(np.clip(round(self.occupied_ratio * len(full)), 1, len(full) - 1))
        spare = 1 if len(full) == 0 else 0  # something has to stay visible
        least = 1 if hide_full == 0 else 0  # and something has to be hidden
        hide_empty = min(max(round(self.empty_ratio * len(empty)), least), max(len(empty) - spare, 0))
        masked = np.zeros(occupied.shape, dtype=bool)
        for cells, count in ((full, hide_full), (empty, hide_empty)):
            if count > 0:
                masked[cells[np.argpartition(rank[cells], count - 1)[:count]]] = True
        return masked.reshape(grid.shape)


class RandomCells(RankedMasks):
    """Single cells, each independent of the others (AD-L-JEPA, 2501.04969).

    For an encoder that sees a few cells around, this is local inpainting: a baseline.
    """

    def rank(self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map) -> Map:
        """Uniform random numbers."""
        return random.random(grid.shape)


class MultiBlock(RankedMasks):
    """Rectangles of random place, size and aspect (I-JEPA, 2301.08243; CNN-JEPA, 2408.07514).

    Blocks reach over the border, so that a border cell is hidden as often as any other.

    Args:
        occupied_ratio: share of the occupied cells that is masked.
        empty_ratio: share of the empty cells that is masked.
        sides: smallest and largest side of a block in metres (of the square of the same area). Small blocks, two
            cells wide, give better features for detection; I-JEPA's have .4 of the side of the grid.
        aspects: smallest and largest ratio of a block's extent along y to that along x.
    """

    def __init__(
        self,
        occupied_ratio: float = 0.5,
        empty_ratio: float = 0.5,
        sides: tuple[float, float] = (1.6, 4.8),
        aspects: tuple[float, float] = (0.75, 1.5),
    ) -> None:
        super().__init__(occupied_ratio, empty_ratio)
        _check_range(self, "sides", sides)
        _check_range(self, "aspects", aspects)
        self.sides, self.aspects = sides, aspects

    def rank(self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map) -> Map:
        """By the first block that covers the cell; within a block from one side to the other, so a cut block is one."""
        rows, columns = grid.shape
        margin = self.sides[1] * max(self.aspects[1], 1 / self.aspects[0]) ** 0.5 / 2
        low = np.array((grid.x_min, grid.y_min)) - margin
        high = np.array((grid.x_max, grid.y_max)) + margin
        # Blocks enough to cover all but a tenth of what may stay visible; a cell left over ranks last.
        visible = 1 - max(self.occupied_ratio, self.empty_ratio)
        wanted = -np.log(0.1 * visible)
        count = int(np.ceil(wanted * np.prod(high - low) / (self.sides[0] * self.sides[1])))

        centre = low + random.random((count, 2)) * (high - low)
        random.random(count)  # not used any more; without it a seed's masks would be others than they were
        side = _log_uniform(random, self.sides, count)
        aspect = _log_uniform(random, self.aspects, count)
        extent = np.stack((side / np.sqrt(aspect), side * np.sqrt(aspect)), axis=1) / grid.cell
        corner = (centre - (grid.x_min, grid.y_min)) / grid.cell - extent / 2
        # A cell is covered when its centre is.
        first = np.ceil(corner - 0.5).astype(np.int64)
        last = np.floor(corner + extent - 0.5).astype(np.int64)
        first, last = np.maximum(first, 0), np.minimum(last, (columns - 1, rows - 1))
        covering = _first_covering(first, last, grid.shape)

        heading = random.uniform(0, 2 * np.pi)
        x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
        sweep = 0.5 + 0.35 * (np.cos(heading) * x + np.sin(heading) * y)  # within (0, 1)
        left = random.random(grid.shape)
        return np.asarray(np.where(covering == len(first), left, sweep) + covering, dtype=np.float64)


class TemporalOcclusion(MaskGenerator):
    """Cells that were seen before: of the sweeps up to now the older ones are hidden nowhere.

    So the embedding of a hidden cell is predicted from what was there before, and from what has come its way since:
    object permanence. It takes sensors that look back further than the cells are hidden (``data.lidar_sweeps``,
    ``data.radar_sweeps``).

    Args:
        masks: draws the cells.
        hidden_for: seconds for which they have been hidden.
    """

    def __init__(self, masks: MaskGenerator, hidden_for: float) -> None:
        require_number("TemporalOcclusion.hidden_for", hidden_for, at_least=0)
        self.masks, self.hidden_for = masks, hidden_for

    def draw(
        self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map
    ) -> NDArray[np.bool_]:
        """See ``MaskGenerator.draw``."""
        return self.masks.draw(occupied, random, grid, sensor_xy)


class OcclusionSectors(RankedMasks):
    """Shadows that visible things would cast: what a wider or nearer occluder takes from the sensor's view.

    An occluder stands on an occupied cell that is still visible, keeps its own cells visible, and hides the sector
    behind it. Sectors are added until the ratios hold. A cell with nothing between it and the sensor cannot be in a
    shadow and is hidden only when the shadows do not suffice. Serves object permanence: to predict what went behind.

    Args:
        occupied_ratio: share of the occupied cells that is masked.
        empty_ratio: share of the empty cells that is masked.
        widths: smallest and largest width of an occluder across the line of sight, in metres.
        lengths: smallest and largest length of the shadow on the ground, in metres.
    """

    def __init__(
        self,
        occupied_ratio: float = 0.4,
        empty_ratio: float = 0.4,
        widths: tuple[float, float] = (1.0, 5.0),
        lengths: tuple[float, float] = (4.0, 30.0),
    ) -> None:
        super().__init__(occupied_ratio, empty_ratio)
        _check_range(self, "widths", widths)
        _check_range(self, "lengths", lengths)
        self.widths, self.lengths = widths, lengths

    def rank(self, occupied: NDArray[np.bool_], random: np.random.Generator, grid: BEVGrid, sensor_xy: Map) -> Map:
        """By the first shadow that falls on the cell; within a shadow from near to far."""
        is_full = occupied.ravel()
        offset = grid.centres().numpy().astype(np.float64).reshape(-1, 2) - sensor_xy
        ranges, azimuth = np.hypot(*offset.T), np.arctan2(offset[:, 1], offset[:, 0])
        around = np.argsort(azimuth)
        # Two turns, so that a sector across the rear is one slice.
        turns = np.concatenate((azimuth[around], azimuth[around] + 2 * np.pi))
        around = np.concatenate((around, around))

        casts = np.flatnonzero(is_full) if is_full.any() else np.arange(is_full.size)
        rank = np.full(is_full.size, np.inf)
        occluder = np.zeros(is_full.size, dtype=bool)
        missing = np.array((self.empty_ratio * np.sum(~is_full), self.occupied_ratio * np.sum(is_full)))
        cells = random.choice(casts, self.attempts)
        widths, lengths = random.uniform(*self.widths, self.attempts), random.uniform(*self.lengths, self.attempts)
        for number, (cell, width, length) in enumerate(zip(cells, widths, lengths, strict=True)):
            if rank[cell] < np.inf:
                continue  # it is in a shadow itself
            half = np.arctan2(width / 2, max(ranges[cell], grid.cell))
            start = (azimuth[cell] - half + np.pi) % (2 * np.pi) - np.pi
            sector = around[slice(*np.searchsorted(turns, (start, start + 2 * half)))]
            behind = (ranges[sector] - ranges[cell] - width / 2) / length
            occluder[sector[np.abs(ranges[sector] - ranges[cell]) <= width / 2]] = True
            occluder[cell] = True
            shadow = (behind > 0) & (behind < 1) & ~occluder[sector] & (rank[sector] == np.inf)
            sector = sector[shadow]
            rank[sector] = number + behind[shadow]
            missing -= np.bincount(is_full[sector], minlength=2)
            if (missing <= 0).all():
                break
        last = self.attempts + occluder + random.random(is_full.size)
        return np.where(rank == np.inf, last, rank).reshape(grid.shape)

    attempts = 400
    """Occluders tried at most: a scene without room for shadows ends with random cells."""


def _check_range(owner: object, name: str, limits: tuple[float, float]) -> None:
    require_range(f"{type(owner).__name__}.{name}", limits, above=0)
    require_number(f"{type(owner).__name__}.{name}", limits[0], at_least=_SMALLEST)
    require_number(f"{type(owner).__name__}.{name}", limits[1], at_most=_LARGEST)


def _log_uniform(random: np.random.Generator, limits: tuple[float, float], count: int) -> Map:
    return np.asarray(limits[0] * (limits[1] / limits[0]) ** random.random(count))


def _first_covering(first: NDArray[np.int64], last: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Number of the first rectangle that covers a cell, and the number of rectangles where none does.

    Rectangles are given by their first and last (column, row), both inclusive, within the grid; they may be empty.
    """
    columns, rows = np.maximum(last - first + 1, 0).T
    areas = columns * rows
    rectangle = np.repeat(np.arange(len(areas)), areas)
    within = np.arange(areas.sum()) - np.repeat(areas.cumsum() - areas, areas)
    row, column = np.divmod(within, columns[rectangle])
    cell = (first[rectangle, 1] + row) * shape[1] + first[rectangle, 0] + column
    covering = np.full(shape[0] * shape[1], len(areas))
    covering[cell[::-1]] = rectangle[::-1]  # of repeated indices the last assignment stays: the first rectangle
    return covering.reshape(shape)
