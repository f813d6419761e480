"""Time a LiDAR JEPA step at nuScenes' resolution beside that of AD-L-JEPA (2501.04969), in turn, on the CPU.

python tools/benchmark/ad_l_jepa.py [--data NUSCENES_ROOT] [--batch-size 2]

AD-L-JEPA's code is not used: its network is built here from the paper's description, of spconv's layers with the native
algorithm. Both see the same points, hide half of the cells, have an encoder of VoxelBackBone8x's size without residual
blocks' extra width, and make a whole step: masks, both encoders, predictor, loss, gradient, optimiser, moving average.
AD-L-JEPA's target encoder sees the hidden voxels alone, ours all of them.
"""

import argparse
import copy
from pathlib import Path

import torch
from clouds import lidar_batch
from comparison import add_options, in_turn, report
from spconv.pytorch import ConvAlgo, SparseConv3d, SparseConvTensor, SparseModule, SparseSequential, SubMConv3d
from torch import Tensor, nn
from torch.nn import functional

from avjepa.data.sample import Batch, PretrainBatch
from avjepa.encoders.lidar.encoder import LidarEncoder
from avjepa.encoders.lidar.voxelise import VoxelGrid, voxelised
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.targets import EMATargetOptions
from avjepa.sparse.tensor import SparseTensor
from avjepa.training.allocator import keep_freed_memory

GRID = BEVGrid(-51.2, 51.2, -51.2, 51.2, 0.8)
VOXELS = VoxelGrid(GRID.refined(8), -3.0, 5.0, 0.2)


def block(layer: SparseModule, channels: int) -> SparseSequential:
    return SparseSequential(layer, nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01), nn.ReLU())


class VoxelBackBone8x(nn.Module):
    """Submanifold convolutions and three strides of two (SECOND; OpenPCDet), its height folded into 256 channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        native = {"bias": False, "algo": ConvAlgo.Native}

        def submanifold(inputs: int, outputs: int, key: str) -> SparseSequential:
            return block(SubMConv3d(inputs, outputs, 3, padding=1, indice_key=key, **native), outputs)

        def strided(inputs: int, outputs: int) -> SparseSequential:
            return block(SparseConv3d(inputs, outputs, 3, stride=2, padding=1, **native), outputs)

        layers = [submanifold(in_channels, 16, "1"), submanifold(16, 16, "1")]
        for number, (inputs, outputs) in enumerate(((16, 32), (32, 64), (64, 64)), start=2):
            key = str(number)
            layers += [strided(inputs, outputs), submanifold(outputs, outputs, key), submanifold(outputs, outputs, key)]
        layers.append(block(SparseConv3d(64, 128, (3, 1, 1), stride=(2, 1, 1), **native), 128))
        self.layers = SparseSequential(*layers)

    def forward(self, x: SparseTensor) -> Tensor:
        """The map, (batch, 256, y, x)."""
        with torch.autocast("cpu", enabled=False):
            sites = SparseConvTensor(x.features, x.indices, list(x.spatial_shape), x.batch_size)
            dense: Tensor = self.layers(sites).dense()
        return dense.flatten(1, 2)


class ADLJEPA(nn.Module):
    """Context encoder, moving average, tokens for hidden and for empty cells, predictor of three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.context = VoxelBackBone8x(8)
        self.target = copy.deepcopy(self.context).requires_grad_(False)
        self.mask_token = nn.Parameter(torch.randn(256, 1, 1) * 0.02)
        self.empty_token = nn.Parameter(torch.randn(256, 1, 1) * 0.02)
        convolutions = []
        for _ in range(3):
            convolutions += [nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
        self.predictor = nn.Sequential(*convolutions)

    def forward(self, x: SparseTensor) -> Tensor:
        """The loss of one batch of voxels."""
        rows, columns = GRID.shape
        cell = (x.indices[:, 0].long() * rows + x.indices[:, 2].long() // 8) * columns + x.indices[:, 3].long() // 8
        full = torch.zeros(x.batch_size * rows * columns, dtype=torch.bool).index_fill(0, cell, True)
        hidden = torch.rand(full.shape) < 0.5

        def part(keep: Tensor) -> SparseTensor:
            return SparseTensor(x.features[keep], x.indices[keep], x.spatial_shape, x.batch_size, known_sites=True)

        context = self.context(part(~hidden[cell]))
        with torch.no_grad():
            target = self.target(part(hidden[cell]))
        full, hidden = (flags.view(x.batch_size, 1, rows, columns) for flags in (full, hidden))
        tokens = torch.where(hidden, self.mask_token, torch.where(full, context, self.empty_token))
        prediction = self.predictor(tokens)
        wanted = torch.where(full, target, self.empty_token)
        unit, unit_target, unit_context = (
            functional.normalize(y.float(), dim=1) for y in (prediction, wanted, context)
        )
        distance = 1 - (unit * unit_target).sum(1, keepdim=True)
        loss = 0.75 * distance[hidden & full].mean() + 0.25 * distance[hidden & ~full].mean()
        for y, cells in ((unit_context, ~hidden & full), (unit, hidden & full)):
            spread = y.permute(0, 2, 3, 1)[cells[:, 0]].std(0)
            loss = loss + functional.relu(1 / 16 - spread).mean()
        return loss

    def after_step(self) -> None:
        """The target encoder follows."""
        with torch.no_grad():
            theirs, ours = list(self.target.parameters()), list(self.context.parameters())
            torch._foreach_lerp_(theirs, ours, 0.004)


def our_encoder() -> LidarEncoder:
    """As many sparse convolutions, of the same widths: a residual block is two of them and a sum."""
    return LidarEncoder(
        GRID, 0.1, 0.2, (-3.0, 5.0), channels=(16, 32, 64, 64), blocks=(0, 1, 1, 1), strides=(1, 2, 2, 2),
        overlapping=True, bev_channels=(128,), bev_blocks=(0,), out_channels=256,
    )  # fmt: skip


def stepping(network: nn.Module, loss_of, after_step):  # type: ignore[no-untyped-def]
    """A function that makes one optimiser step in bf16."""
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of()
        loss.backward()
        optimiser.step()
        after_step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="a nuScenes root; without it clouds are generated")
    parser.add_argument("--batch-size", type=int, default=2, help="samples in a batch")
    add_options(parser, rounds=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()
    batch: Batch = lidar_batch(options.data, options.batch_size, torch.device("cpu"))
    jepa = JEPA(our_encoder(), MultiBlock(), EMATargetOptions(), input_dropout=0.0).train()
    peer = ADLJEPA().train()
    assert batch.lidar is not None

    def voxels() -> SparseTensor:
        voxel, inside = VOXELS.places_of(batch.lidar)
        return voxelised(batch.lidar, voxel, inside.nonzero()[:, 0], VOXELS)

    views = PretrainBatch(batch, batch)
    row = in_turn(
        "LiDAR JEPA step at nuScenes' resolution, bf16; peer: AD-L-JEPA",
        stepping(jepa, lambda: jepa(views).loss, lambda: jepa.after_step(1)),
        stepping(peer, lambda: peer(voxels()), peer.after_step),
        rounds=options.rounds,
    )  # fmt: skip
    for name, network in (("ours", jepa.encoder), ("AD-L-JEPA", peer.context)):
        print(f"encoder, {name}: {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters")
    print(f"{len(voxels().indices) // options.batch_size:,} voxels a sample")
    report([row], options.csv)


if __name__ == "__main__":
    main()
