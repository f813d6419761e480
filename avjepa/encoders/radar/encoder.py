"""Radar encoder: a PointNet per pillar, dense BEV network."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import Batch, Points
from avjepa.encoders.base import DenseFeatures, Tokens
from avjepa.encoders.blocks import BEVUNet, require_depths
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.plane_encoder import OnPlane, PlaneEncoder
from avjepa.encoders.radar.pillars import PillarNet, cells_of_points, one_hot_code
from avjepa.encoders.radar.tokens import RadarTokens
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number

_COLUMN = {name: column for column, name in enumerate(RADAR_FIELDS)}
_CODES = {"dyn_prop": 8, "ambig_state": 5, "invalid_state": 18, "is_quality_valid": 2, "pdh0": 8}
"""Number of values of the sensor's state fields (nuScenes radar documentation), one-hot in the network."""
_SCALES = {
    "z": 2.0, "time_lag": 0.5, "rcs": 20.0, "vx_comp": 10.0, "vy_comp": 10.0,
    "x_rms": 32.0, "y_rms": 32.0, "vx_rms": 32.0, "vy_rms": 32.0,
}  # fmt: skip
"""What the numbers are divided by to be of order one. The rms fields are codes of 5 bits."""


class RadarEncoder(PlaneEncoder):
    """All returns of a moment -> one BEV map: pillars (PointPillars, 1812.05784) of any number of radars and sweeps.

    A return enters by its offset from the cell's centre, height, range, age, cross-section, velocity and speed,
    accuracy codes, and its state fields one-hot, so that states which the devkit filters away can be told apart here.
    Positions and velocities are those of ``RADAR_FIELDS``: in the BEV frame, ego motion compensated.

    ``BEVMap.intermediate_features`` are the pillars' vectors and the first depth of the dense network.

    Args:
        token_grid: cells of the output, which are the pillars.
        pillar_channels: channels of a pillar.
        bev_channels: channels at each depth of the dense network.
        bev_blocks: residual blocks at each depth of the dense network.
        out_channels: channels of the output.
    """

    sensor = "radar"

    def __init__(
        self,
        token_grid: BEVGrid,
        pillar_channels: int,
        bev_channels: tuple[int, ...],
        bev_blocks: tuple[int, ...],
        out_channels: int,
    ) -> None:
        super().__init__()
        require_depths("RadarEncoder", bev_channels, bev_blocks)
        require_number("RadarEncoder.pillar_channels", pillar_channels, at_least=1)
        require_number("RadarEncoder.out_channels", out_channels, at_least=1)
        self.token_grid = token_grid
        self.out_channels = out_channels
        self.intermediate_channels = (pillar_channels, bev_channels[0])
        self.pillars = PillarNet(len(_SCALES) + 4 + sum(_CODES.values()), pillar_channels)
        self.bev = BEVUNet(pillar_channels, out_channels, bev_channels, bev_blocks)

    def tokenise(self, batch: Batch) -> RadarTokens:
        """See ``SensorEncoder.tokenise``."""
        points = _radar_of(batch)
        cell, inside = cells_of_points(self.token_grid, points.xyz, points.batch_index)
        return RadarTokens(points, batch.seeds, inside, self.token_grid, cell)

    def on_plane(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> OnPlane:
        """See ``PlaneEncoder.on_plane``: a vector for every pillar."""
        assert isinstance(tokens, RadarTokens)
        visible = tokens.visible(masked)
        points, cell = tokens.points.at(visible), tokens.cell[visible]
        observed = tokens.observed if masked is None else tokens.observed & ~masked
        vectors = self.pillars(self._features(points), cell, observed.numel())
        pillars = vectors.view(*observed.shape, -1).permute(0, 3, 1, 2)
        return OnPlane(pillars, observed, (DenseFeatures(pillars),))

    def reconstruction_target(self) -> PillarPoints:
        """See ``SensorEncoder.reconstruction_target``: the points of a cell's column."""
        return PillarPoints("radar")

    def _features(self, points: Points) -> Float[Tensor, "point feature"]:
        columns = {name: points.features[:, column] for name, column in _COLUMN.items()}
        row_column, _ = self.token_grid.cell_of(points.xyz[:, :2])
        centre = self.token_grid.centres(points.xyz.device)[row_column[:, 0], row_column[:, 1]]
        offset = (points.xyz[:, :2] - centre) / self.token_grid.cell
        distance = points.xyz[:, :2].norm(dim=1, keepdim=True) / 50
        speed = torch.hypot(columns["vx_comp"], columns["vy_comp"])[:, None] / _SCALES["vx_comp"]
        scaled = torch.stack([columns[name] / scale for name, scale in _SCALES.items()], dim=1)
        states = [one_hot_code(columns[name], codes) for name, codes in _CODES.items()]
        return torch.cat((offset, distance, speed, scaled, *states), dim=1)


def _radar_of(batch: Batch) -> Points:
    if batch.radar is None:
        raise MissingSensorError("RadarEncoder", "radar", batch)
    return batch.radar
