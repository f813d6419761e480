"""Time both lifts on the same image features, beside a plain ``grid_sample`` over all cameras and voxels:

python tools/benchmark/lifts.py [--device cuda] [--image 256 704] [--stride 8] [--channels 128]
"""

from typing import Any

import torch
from lidar_encoder import COLUMNS, timed
from rigs import camera_batch
from timing import argument_parser, describe, print_table
from torch import Tensor
from torch.nn import functional

from avjepa.encoders.camera.geometry import image_from_bev, project_lattice
from avjepa.encoders.camera.lift import ImageFeatures
from avjepa.encoders.camera.lift_bilinear import BilinearLiftOptions
from avjepa.encoders.camera.lift_depth import DepthLiftOptions
from avjepa.geometry.grid import BEVGrid

GRID = BEVGrid(-51.2, 51.2, -51.2, 51.2, 0.8)


def grid_sampled(features: ImageFeatures, heights: tuple[float, ...]) -> Tensor:
    """The usual way: sample every voxel in every image, then average with a mask."""
    centres = GRID.centres(features.values.device)
    z = torch.tensor(heights, device=centres.device)
    points = project_lattice(image_from_bev(features.cameras), centres[0, :, 0], centres[:, 0, 1], z)
    depth = points[:, :, 2]
    height, width = features.cameras.images.shape[-2:]
    size = torch.tensor((width, height), device=depth.device)[:, None, None, None]
    position = 2 * points[:, :, :2] / depth.clamp(min=1.0)[:, :, None] / size - 1
    sees = (depth >= 1.0) & (position.abs() <= 1).all(2)
    where = position.flatten(0, 1).permute(0, 2, 3, 4, 1).flatten(1, 2)
    sampled = functional.grid_sample(features.values.flatten(0, 1), where, align_corners=False, padding_mode="border")
    sampled = sampled.unflatten(0, sees.shape[:2]).unflatten(-2, (len(heights), -1))
    total = (sampled * sees[:, :, None]).sum(1) / sees.sum(1).clamp(min=1)[:, None]
    return total.flatten(1, 2)


def rows(features: ImageFeatures, options: Any) -> list[tuple[Any, ...]]:
    channels = features.values.shape[2]
    table = []
    for heights in ((0.0, 0.75, 1.5, 2.5), (-1.0, -0.25, 0.5, 1.25, 2.0, 2.75, 3.5, 4.25)):
        bilinear = BilinearLiftOptions(heights).build(channels, GRID).to(options.device)
        for name, run in (
            ("bilinear", lambda lift=bilinear: lift(features)),
            ("grid_sample", lambda z=heights: grid_sampled(features, z)),
        ):
            title = f"{name}, {len(heights)} heights"
            table.append(timed(title, run, options.batch_size, options.device, options.repeats))
    depth = DepthLiftOptions(context_channels=channels).build(channels, GRID).to(options.device)
    table.append(timed("depth, 59 bins", lambda: depth(features), options.batch_size, options.device, options.repeats))
    return table


def main() -> None:
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--image", type=int, nargs=2, default=(128, 224), help="height and width in pixels")
    parser.add_argument("--stride", type=int, default=8, help="pixels per cell of the feature map")
    parser.add_argument("--channels", type=int, default=32, help="channels of the feature map")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    height, width = options.image
    batch = camera_batch((height, width), options.batch_size, options.device)
    assert batch.cameras is not None
    shape = (options.batch_size, 6, options.channels, height // options.stride, width // options.stride)
    values = torch.randn(shape, device=options.device, requires_grad=True)
    features = ImageFeatures(values, batch.cameras, options.stride, options.stride / 2)
    title = f"Lifts of {options.channels} channels at stride {options.stride} of six {height}×{width} images to 128×128"
    print_table(f"{title}, batch {options.batch_size}: {describe(options.device)}", COLUMNS, rows(features, options))


if __name__ == "__main__":
    main()
