"""Time both sparse backends layer by layer: python tools/benchmark/sparse_backends.py [--device cuda] [--data ROOT]

On the CPU spconv runs its native algorithm, the only one that it has there.
"""

from typing import Any

import torch
from clouds import lidar_batch
from timing import argument_parser, describe, measure, print_table

from avjepa.encoders.lidar.voxelise import VoxelGrid, voxelised
from avjepa.geometry.grid import BEVGrid
from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.conv import ON_CUDA, SparseConv3d, SubmanifoldConv3d
from avjepa.sparse.spconv_backend import TRITON
from avjepa.sparse.tensor import SparseTensor

LAYERS = (
    ("submanifold 3, 16 to 16", SubmanifoldConv3d(16, 16)),
    ("submanifold 3, 32 to 32", SubmanifoldConv3d(32, 32)),
    ("strided 3/2, 16 to 32", SparseConv3d(16, 32, 3, 2, 1)),
    ("strided 2/2, 16 to 32", SparseConv3d(16, 32, 2, 2)),
)
COLUMNS = ("voxel", "layer", "backend", "ms/sample search", "ms/sample forward", "ms/sample forward+backward")


def row(layer: SubmanifoldConv3d | SparseConv3d, backend: SparseBackend, x: SparseTensor, options: Any) -> list[Any]:
    geometry = (layer.kernel, layer.stride, layer.padding, layer.submanifold)
    book = backend.rulebook(x, *geometry)
    features = x.features.clone().requires_grad_()

    def run() -> torch.Tensor:
        result: torch.Tensor = backend.convolve(features, layer.weight, book)
        return result

    direction = torch.randn_like(run())
    search = measure(lambda: backend.rulebook(x, *geometry), options.device, repeats=options.repeats)
    forward = measure(run, options.device, repeats=options.repeats)
    both = measure(lambda: run().backward(direction), options.device, repeats=options.repeats)
    return [cost.milliseconds / options.batch_size for cost in (search, forward, both)]


def main() -> None:
    options = argument_parser(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(options.threads)
    points = lidar_batch(options.data, options.batch_size, options.device).lidar
    assert points is not None
    backends = [b for b in ON_CUDA if b.is_available() and (b is not TRITON or options.device.type == "cuda")]
    rows = []
    for size, height in ((0.2, 0.25), (0.1, 0.2)):
        grid = VoxelGrid(BEVGrid(-51.2, 51.2, -51.2, 51.2, size), -3.0, 5.0, height)
        voxel, inside = grid.places_of(points)
        sites = voxelised(points, voxel, inside.nonzero()[:, 0], grid)
        voxel = f"{size} m, {len(sites.indices) // options.batch_size:,} a sample"
        for name, layer in LAYERS:
            layer = layer.to(options.device)
            x = sites.with_features(torch.randn(len(sites.indices), layer.in_channels, device=options.device))
            for backend in backends:
                rows.append((voxel, name, backend.name, *row(layer, backend, x, options)))
    print_table(f"Sparse backends, batch {options.batch_size}: {describe(options.device)}", COLUMNS, rows)


if __name__ == "__main__":
    main()
