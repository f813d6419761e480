"""Time the radar encoders, whole and part by part:

python tools/benchmark/radar_encoder.py [--device cuda] [--encoder tiny base]
"""

from typing import Any

import torch
import yaml
from lidar_encoder import COLUMNS, CONFIGS, autocast, timed
from rigs import radar_batch
from timing import argument_parser, describe, print_table
from torch import Tensor

from avjepa.bundle.construction import build
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.radar.encoder import RadarEncoder


def encoder_of(name: str, device: torch.device) -> RadarEncoder:
    file = CONFIGS / f"radar_{name}.yaml"
    entry = yaml.safe_load(file.read_text())
    encoder = build(SensorEncoder, entry, str(file))
    assert isinstance(encoder, RadarEncoder)
    return encoder.to(device).train()


def rows(encoder: RadarEncoder, options: Any) -> list[tuple[Any, ...]]:
    batch = radar_batch(options.returns, encoder.token_grid, options.batch_size, options.device)
    table = []
    for mixed in (False, True):

        def run(mixed: bool = mixed) -> Tensor:
            with autocast(options.device, mixed):
                return encoder(batch).features

        name = f"whole encoder, {'bf16-mixed' if mixed else 'fp32'}"
        table.append(timed(name, run, options.batch_size, options.device, options.repeats))
    with torch.no_grad():
        pillars = encoder(batch).intermediate_features[0].map
    pillars.requires_grad_()
    table.append(timed(
        "  dense network", lambda: encoder.bev(pillars)[1], options.batch_size, options.device, options.repeats
    ))  # fmt: skip
    return table


def main() -> None:
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--encoder", nargs="+", default=["tiny"], choices=("tiny", "base"), help="presets")
    parser.add_argument("--returns", type=int, default=1500, help="radar returns per sample")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.encoder:
        encoder = encoder_of(name, options.device)
        size = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        title = f"Radar encoder {name}, {size:.2f} M parameters, batch {options.batch_size}: {describe(options.device)}"
        print_table(title, COLUMNS, rows(encoder, options))


if __name__ == "__main__":
    main()
