"""Time the LiDAR encoders, whole and part by part:

python tools/benchmark/lidar_encoder.py [--device cuda] [--data NUSCENES_ROOT] [--encoder tiny base]
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import yaml
from clouds import lidar_batch
from timing import argument_parser, describe, measure, print_table
from torch import Tensor

from avjepa.bundle.construction import build
from avjepa.data.sample import Batch
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.lidar.encoder import LidarEncoder
from avjepa.encoders.lidar.voxelise import voxelised
from avjepa.sparse.tensor import SparseTensor

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "encoder"
COLUMNS = ("what", "ms/sample forward", "ms/sample forward+backward", "samples/s training", "peak MiB training")


def encoder_of(name: str, device: torch.device) -> LidarEncoder:
    file = CONFIGS / f"lidar_{name}.yaml"
    entry = yaml.safe_load(file.read_text())
    encoder = build(SensorEncoder, entry, str(file))
    assert isinstance(encoder, LidarEncoder)
    return encoder.to(device).train()


def timed(name: str, run: Callable[[], Tensor], batch_size: int, device: torch.device, repeats: int) -> tuple[Any, ...]:
    """A row of the table for something that returns a tensor to run backward from."""
    with torch.no_grad():
        forward = measure(run, device, repeats=repeats)
    direction = torch.randn_like(run())
    both = measure(lambda: run().backward(direction), device, repeats=repeats)
    return (
        name, forward.milliseconds / batch_size, both.milliseconds / batch_size,
        1e3 * batch_size / both.milliseconds, both.peak_mib,
    )  # fmt: skip


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def whole(encoder: LidarEncoder, batch: Batch, options: Any) -> list[tuple[Any, ...]]:
    rows = []
    for mixed in (False, True):

        def run(mixed: bool = mixed) -> Tensor:
            with autocast(options.device, mixed):
                return encoder(batch).features

        name = "whole encoder, bf16-mixed" if mixed else "whole encoder, fp32"
        rows.append(timed(name, run, options.batch_size, options.device, options.repeats))
    return rows


def parts(encoder: LidarEncoder, batch: Batch, options: Any) -> list[tuple[Any, ...]]:
    """Each sparse stage from new sites on, so with its search for neighbours."""
    rows = []
    tokens = encoder.tokenise(batch)
    x = voxelised(tokens.points, tokens.voxel, tokens.visible(None), encoder.voxel_grid)
    for index, stage in enumerate(encoder.stages):
        rows.append(timed(
            f"  sparse stage {index + 1}, {len(x.indices) // options.batch_size:,} sites/sample",
            lambda stage=stage, x=x: stage(_renewed(x)).features, options.batch_size, options.device, options.repeats,
        ))  # fmt: skip
        with torch.no_grad():
            x = stage(_renewed(x))
    rows.append(timed(
        "  height compression", lambda: encoder.height_compression(_renewed(x)).dense(),
        options.batch_size, options.device, options.repeats,
    ))  # fmt: skip
    with torch.no_grad():
        flat = encoder.height_compression(_renewed(x)).dense()[:, :, 0]
    flat.requires_grad_()
    for mixed in (False, True):

        def run(mixed: bool = mixed) -> Tensor:
            with autocast(options.device, mixed):
                return encoder.bev(flat)[1]

        name = "  dense BEV network, bf16-mixed" if mixed else "  dense BEV network, fp32"
        rows.append(timed(name, run, options.batch_size, options.device, options.repeats))
    return rows


def _renewed(x: SparseTensor) -> SparseTensor:
    features = x.features.detach().requires_grad_()
    return SparseTensor(features, x.indices, x.spatial_shape, x.batch_size, known_sites=True)


def main() -> None:
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--encoder", nargs="+", default=["tiny"], choices=["tiny", "base"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batch = lidar_batch(options.data, options.batch_size, options.device)
    for name in options.encoder:
        encoder = encoder_of(name, options.device)
        size = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        title = f"LiDAR encoder {name}, {size:.2f} M parameters, batch {options.batch_size}: {describe(options.device)}"
        print_table(title, COLUMNS, whole(encoder, batch, options) + parts(encoder, batch, options))


if __name__ == "__main__":
    main()
