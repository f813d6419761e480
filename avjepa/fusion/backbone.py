"""The branches of several sensors, aligned to one map: itself a backbone, and an encoder that can be masked."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from avjepa.data.empty_sensor import with_empty_sensor
from avjepa.data.sample import SENSORS, Batch
from avjepa.distributed import summed, world_size
from avjepa.encoders.base import BEVBackbone, BEVMap, DenseFeatures, SensorEncoder, Tokens
from avjepa.encoders.blocks import BEVUNet, require_depths
from avjepa.encoders.reconstruction_target import ReconstructionTarget
from avjepa.errors import UserError
from avjepa.fusion.adapter import Adapter
from avjepa.fusion.fusers import FuserOptions, MaskedMeanOptions
from avjepa.fusion.grid_link import link_of
from avjepa.fusion.tokens import FusedTokens
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number


class FusedBackbone(SensorEncoder):
    """Any subset of camera, LiDAR and radar -> one BEV map.

    Each sensor's branch is an encoder of its own. An adapter aligns its map to the common one; a sum over the sensors
    that are there, in every sample and every cell, fuses them; dense convolutions follow. Nothing depends on how many
    sensors there are, so the same weights serve all subsets (UniBEV, 2309.14516; SiMO, for the order of training).

    **Masking.** A mask of cells goes to every branch. What is dropped of the raw input (``Tokens.without``) is shared
    out over the sensors by a Dirichlet draw: so a context may lack a whole sensor that the target has.

    ``BEVMap.intermediate_features`` is the fused map before the dense convolutions.

    Args:
        branches: encoder of each sensor, by ``camera``, ``lidar`` or ``radar``.
        channels: of the aligned maps.
        adapter_blocks: residual blocks of each adapter.
        fuser: how aligned maps become one.
        bev_channels: channels at each depth of the dense network.
        bev_blocks: residual blocks at each depth of the dense network.
        out_channels: channels of the output.
        token_grid: the common grid; that of the branch with the smallest cells by default. The branches' cells are
            larger or smaller by a whole factor.
        concentration: of the Dirichlet draw: the smaller, the more often a context is left one sensor alone.
    """

    def __init__(
        self,
        branches: dict[str, SensorEncoder],
        channels: int,
        bev_channels: tuple[int, ...],
        bev_blocks: tuple[int, ...],
        out_channels: int,
        adapter_blocks: int = 1,
        fuser: FuserOptions = MaskedMeanOptions(),  # noqa: B008 (frozen)
        token_grid: BEVGrid | None = None,
        concentration: float = 0.5,
    ) -> None:
        super().__init__()
        if unknown := sorted(set(branches) - set(SENSORS)):
            raise UserError(f"FusedBackbone.branches: {', '.join(unknown)}: no such sensor; use {', '.join(SENSORS)}")
        if not branches:
            raise UserError(
                "FusedBackbone.branches: there is none; give bundles with --bundles lidar=DIR,camera=DIR, or configure "
                "an encoder for each sensor"
            )
        for name, branch in branches.items():
            if (reads := branch.sensors_read()) not in ((), (name,)):
                raise UserError(
                    f"FusedBackbone.branches: that of {name} is a {type(branch).__name__}, which reads "
                    f"{', '.join(reads)}; give every sensor an encoder of its own"
                )
        require_depths("FusedBackbone", bev_channels, bev_blocks)
        for name, number in (("channels", channels), ("out_channels", out_channels)):
            require_number(f"FusedBackbone.{name}", number, at_least=1)
        require_number("FusedBackbone.adapter_blocks", adapter_blocks, at_least=0)
        require_number("FusedBackbone.concentration", concentration, at_least=0.01, at_most=100)
        grids = {name: branch.token_grid for name, branch in branches.items()}
        self.token_grid = token_grid or min(grids.values(), key=lambda grid: grid.cell)
        self.links = {name: link_of(self.token_grid, grid, name) for name, grid in grids.items()}
        self.out_channels, self.intermediate_channels = out_channels, (channels,)
        self.concentration = concentration
        self.branches = nn.ModuleDict(branches)
        self.adapters = nn.ModuleDict(
            {name: Adapter(branch.out_channels, channels, adapter_blocks) for name, branch in branches.items()}
        )
        self.fuser = fuser.build(channels)
        self.bev = BEVUNet(channels, out_channels, bev_channels, bev_blocks)

    def sensors_read(self) -> tuple[str, ...]:
        """Those of the branches."""
        return tuple(self.branches)

    def pretrained_parts(self) -> list[BEVBackbone]:
        """The branches."""
        return list(self._encoders().values())

    def layer_order(self) -> list[nn.Module]:
        """See ``BEVBackbone.layer_order``: the branches' parts side by side, counted from their outputs."""
        orders = [branch.layer_order() for branch in self._encoders().values()]
        deepest = max(len(order) for order in orders)
        padded = [[None] * (deepest - len(order)) + list(order) for order in orders]
        beside = [nn.ModuleList(part for part in parts if part is not None) for parts in zip(*padded, strict=True)]
        return [*beside, self.adapters, self.fuser, *self.bev.layer_order()]

    @torch.no_grad()
    def tokenise(self, batch: Batch) -> FusedTokens:
        """See ``SensorEncoder.tokenise``. A batch in which no process has data of a branch is encoded without it; one
        that has none at all, as one in which a sensor saw nothing."""
        used = self._used(batch) or [next(iter(self.branches))]
        present = {name: batch.present(name) for name in used}
        for name in used:
            batch = with_empty_sensor(batch, name)
        tokens = {name: self._encoders()[name].tokenise(batch) for name in used}
        return FusedTokens(tokens, self.links, present, batch.seeds, self.concentration)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """See ``SensorEncoder.encode``."""
        assert isinstance(tokens, FusedTokens)
        maps, told, observed = [], [], []
        for name, own_tokens in tokens.tokens.items():
            link = self.links[name]
            map_ = self._encoders()[name].encode(own_tokens, None if masked is None else link.within(masked))
            here = tokens.present[name][:, None, None]
            observed.append(link.any_in_common(map_.observed) & here)
            maps.append(self.adapters[name](link.to_common(map_.features), observed[-1]))
            covered = here.expand_as(observed[-1])
            if map_.covered is not None:
                covered = covered & link.any_in_common(map_.covered)
            told.append(covered if masked is None else covered & ~masked)
        fused = self.fuser(torch.stack(maps), torch.stack(told)) + self._of_idle(tokens)
        _, out = self.bev(fused)
        return BEVMap(out, torch.stack(observed).any(0), (DenseFeatures(fused),), covered=torch.stack(told).any(0))

    def plane(self, batch: Batch) -> dict[str, Shaped[Tensor, "batch *_"]]:
        """See ``BEVBackbone.plane``: those of the branches, and, of every sensor, the common cells that it ``observed``
        and those that it ``told`` of, as 0 and 1; all 0 for one that is not there."""
        plane: dict[str, Tensor] = {}
        for name, branch in self._encoders().items():
            here = batch.present(name)[:, None, None]
            read = with_empty_sensor(batch, name)
            plane |= branch.plane(read)
            map_, link = branch(read), self.links[name]
            observed = link.any_in_common(map_.observed) & here
            covered = torch.ones_like(map_.observed) if map_.covered is None else map_.covered
            plane[f"{name}.observed"] = observed.float()
            plane[f"{name}.told"] = (link.any_in_common(covered) & here).float()
        return plane

    def above_plane(self, plane: dict[str, Shaped[Tensor, "batch *_"]]) -> Float[Tensor, "batch channel y x"]:
        """See ``BEVBackbone.above_plane``."""
        maps, told = [], []
        for name, branch in self._encoders().items():
            features = self.links[name].to_common(branch.above_plane(plane))
            maps.append(self.adapters[name](features, plane[f"{name}.observed"] > 0))
            told.append(plane[f"{name}.told"] > 0)
        fused: Tensor = self.bev(self.fuser(torch.stack(maps), torch.stack(told)))[1]
        return fused

    def reconstruction_target(self) -> ReconstructionTarget:
        """What the LiDAR's raw data hold in a cell, or those of the first branch where there is no LiDAR."""
        encoders = self._encoders()
        return encoders.get("lidar", next(iter(encoders.values()))).reconstruction_target()

    def _encoders(self) -> dict[str, SensorEncoder]:
        return dict(self.branches.items())  # type: ignore[arg-type]

    def _used(self, batch: Batch) -> list[str]:
        """The branches for whose sensor any process has data: all take part in what processes exchange."""
        here = torch.tensor([float(name in batch.sensors) for name in self.branches])
        if world_size() > 1:
            here = summed(here.to(batch.bev_from_level.device))
        return [name for name, number in zip(self.branches, here.tolist(), strict=True) if number > 0]

    def _of_idle(self, tokens: FusedTokens) -> Tensor:
        """0, with a gradient of 0 for branches that have no data: distributed training waits for every parameter's."""
        idle: Sequence[nn.Module] = [
            module for name in self.branches if name not in tokens.tokens
            for module in (self.branches[name], self.adapters[name])
        ]  # fmt: skip
        parameters = [p for module in idle for p in module.parameters() if p.requires_grad]
        if not parameters or not torch.is_grad_enabled():
            return torch.zeros((), device=tokens.observed.device)
        return 0.0 * torch.stack([parameter.sum() for parameter in parameters]).sum()
