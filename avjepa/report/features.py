"""BEV feature maps as pictures: the first three principal components as red, green and blue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.sample import Sample
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.report.bev import draw_bev, footprints, upright
from avjepa.report.cameras import draw_camera_ring
from avjepa.report.style import CANVAS, CANVAS_RULE, picture

_PERCENTILES = (0.01, 0.99)
_EMPTY_CELL_SHARE = 0.22  # how much of its colour a cell keeps of which the sensor said nothing


@dataclass(frozen=True)
class PCABasis:
    """The directions along which features vary most, and the range of colours.

    Pictures made with one basis can be compared colour by colour; features of two networks live in two spaces and
    share none.
    """

    mean: Float[Tensor, "channel"]
    components: Float[Tensor, "component channel"]
    """Orthonormal, at most three; the largest entry of each is positive, so that equal features give equal pictures."""
    low: Float[Tensor, "component"]
    """Projection shown as 0: the first percentile of the cells that the basis was fitted to."""
    high: Float[Tensor, "component"]
    """Projection shown as 255: the 99th percentile."""
    explained: float
    """Share of the features' variance that the components hold, 0 to 1. Near 1, the map has few dimensions."""

    @classmethod
    def fit(cls, maps: Sequence[Float[Tensor, "channel _ _"]], occupied: Sequence[Bool[Tensor, "_ _"]]) -> "PCABasis":
        """Fit to the occupied cells of all maps together; to all cells where fewer than four are occupied.

        Raises:
            UserError: there is no map, or a feature is not finite.
        """
        if not maps:
            raise UserError("PCA picture: no feature map was given; encode at least one sample")
        cells = torch.cat([features.detach().double().cpu().flatten(1).T for features in maps])
        if not bool(cells.isfinite().all()):
            raise UserError("PCA picture: the features hold NaN or infinite values; check the training that made them")
        shown = torch.cat([mask.detach().cpu().flatten() for mask in occupied])
        if int(shown.sum()) >= 4:
            cells = cells[shown]
        mean = cells.mean(0)
        centred = cells - mean
        variances, directions = torch.linalg.eigh(centred.T @ centred)
        variances = variances.flip(0).clamp(min=0)
        components = directions.flip(1).T[:3]
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        components = components * torch.where(largest < 0, -1.0, 1.0)
        quantiles = torch.tensor(_PERCENTILES, dtype=torch.float64)
        low, high = torch.quantile(centred @ components.T, quantiles, dim=0)
        total = float(variances.sum())
        return cls(mean, components, low, high, float(variances[:3].sum()) / total if total > 0 else 1.0)

    def rgb(self, features: Float[Tensor, "channel y x"], occupied: Bool[Tensor, "y x"]) -> UInt8[Array, "y x 3"]:
        """A map in the colours of this basis; cells that are not occupied are dimmed.

        A component that does not vary is shown as medium grey.
        """
        rows, columns = occupied.shape
        projected = (features.detach().double().cpu().flatten(1).T - self.mean) @ self.components.T
        width = self.high - self.low
        flat = width <= 1e-9 * self.mean.norm().clamp(min=1.0)
        colours = torch.full((rows * columns, 3), 0.5, dtype=torch.float64)
        scaled = ((projected - self.low) / torch.where(flat, 1.0, width)).clamp(0, 1)
        colours[:, : scaled.shape[1]] = torch.where(flat, 0.5, scaled)
        colours = colours.reshape(rows, columns, 3)
        canvas = torch.tensor(to_rgb(CANVAS), dtype=torch.float64)
        dimmed = canvas + _EMPTY_CELL_SHARE * (colours - canvas)
        colours = torch.where(occupied.cpu()[..., None], colours, dimmed)
        return (colours * 255).round().to(torch.uint8).numpy()


@dataclass(frozen=True)
class FeatureMaps:
    """BEV maps of one network for several samples: one column of ``features_figure``."""

    title: str
    maps: tuple[Float[Tensor, "channel y x"], ...]
    """One per sample."""
    occupied: tuple[Bool[Tensor, "y x"], ...]


@picture
def features_figure(samples: Sequence[Sample], grid: BEVGrid, columns: Sequence[FeatureMaps]) -> Figure:
    """Rows of samples: the input from above, then its PCA picture by every network (say, before and after training).

    Each column has a basis of its own, shared by its rows. Outlines of the ground truth, where the samples have it,
    tell whether the features set objects apart; no network has seen them.

    Args:
        samples: what the networks saw; draw only the sensor in question by leaving the others ``None``.
        grid: of the feature maps.
        columns: the networks.
    """
    panel = 4.2
    aspect = (grid.x_max - grid.x_min) / (grid.y_max - grid.y_min)
    figure = Figure(
        figsize=(panel * (1 + len(columns)), panel * aspect * len(samples) + 0.4),
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01),
    )
    extent = (grid.x_min, grid.x_max, grid.y_min, grid.y_max)
    cells: list[list[Axes]] = figure.subplots(len(samples), 1 + len(columns), squeeze=False).tolist()
    bases = [PCABasis.fit(column.maps, column.occupied) for column in columns]
    for row, sample in enumerate(samples):
        if sample.lidar is None and sample.radar is None:
            draw_camera_ring(cells[row][0], sample)
        else:
            draw_bev(cells[row][0], replace(sample, labels=None), extent)
        for column, basis, axes in zip(columns, bases, cells[row][1:], strict=True):
            axes.imshow(
                upright(basis.rgb(column.maps[row], column.occupied[row])),
                extent=(grid.y_max, grid.y_min, grid.x_min, grid.x_max),
                interpolation="nearest",
            )
            if sample.labels is not None:
                outlines = list(footprints(sample.labels.boxes)[..., ::-1])
                axes.add_collection(
                    PolyCollection(outlines, facecolors="none", edgecolors="white", linewidths=0.6, alpha=0.8)
                )
            axes.set(xlim=(grid.y_max, grid.y_min), ylim=(grid.x_min, grid.x_max))
        for axes in cells[row]:
            axes.set(xlabel="", ylabel="")
            axes.tick_params(length=2, labelsize=6.5, labelbottom=row == len(samples) - 1)
            for spine in axes.spines.values():
                spine.set(visible=True, color=CANVAS_RULE)
        if sample.lidar is None and sample.radar is None:
            cells[row][0].set(xticks=[], yticks=[])  # images in a ring have no scale
        cells[row][-1].yaxis.tick_right()
        for axes in cells[row][1:-1]:
            axes.tick_params(labelleft=False)
    cells[0][0].set_title("input", fontsize=8.5)
    for column, basis, axes in zip(columns, bases, cells[0][1:], strict=True):
        axes.set_title(f"{column.title} (3 components: {100 * basis.explained:.0f} % of variance)", fontsize=8.5)
    figure.supxlabel("metres from the ego vehicle; forward is up, left is left", fontsize=7.5)
    return figure
