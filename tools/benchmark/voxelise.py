"""Time voxelisation: python tools/benchmark/voxelise.py [--device cuda] [--data NUSCENES_ROOT]"""

import torch
from clouds import lidar_batch
from timing import argument_parser, describe, measure, print_table

from avjepa.encoders.lidar.voxelise import VoxelGrid, voxelised
from avjepa.geometry.grid import BEVGrid
from avjepa.sparse.tensor import SparseTensor

VOXELS = ((0.2, 0.25), (0.1, 0.2), (0.075, 0.2))


def main() -> None:
    options = argument_parser(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    points = lidar_batch(options.data, options.batch_size, options.device).lidar
    assert points is not None
    rows = []
    for size, height in VOXELS:
        extent = 54.0 if size == 0.075 else 51.2
        grid = VoxelGrid(BEVGrid(-extent, extent, -extent, extent, size), -3.0, 5.0, height)

        def sites(grid: VoxelGrid = grid) -> SparseTensor:
            voxel, inside = grid.places_of(points)
            return voxelised(points, voxel, inside.nonzero()[:, 0], grid)

        cost = measure(sites, options.device, repeats=options.repeats)
        voxels = len(sites().indices)
        each = cost.milliseconds / options.batch_size
        rows.append((f"{size} x {size} x {height} m", len(points.features) // options.batch_size,
                     voxels // options.batch_size, each, 1e3 / each, cost.peak_mib))  # fmt: skip
    columns = ("voxel", "points/sample", "voxels/sample", "ms/sample", "samples/s", "peak MiB")
    print_table(f"Voxelisation, batch {options.batch_size}: {describe(options.device)}", columns, rows)


if __name__ == "__main__":
    main()
