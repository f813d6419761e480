"""Time the camera encoders, whole and part by part, and what a ViT saves by dropping hidden patches:

python tools/benchmark/camera_encoder.py [--device cuda] [--encoder tiny base]
"""

import functools
from typing import Any

import torch
import yaml
from lidar_encoder import COLUMNS, CONFIGS, autocast, timed
from rigs import camera_batch
from timing import argument_parser, describe, measure, print_table
from torch import Tensor

from avjepa.bundle.construction import build
from avjepa.data.sample import Batch
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.camera.encoder import CameraEncoder
from avjepa.encoders.camera.image_backbone import ImageBackbone, ImageBackboneOptions
from avjepa.encoders.camera.lift import ImageFeatures

IMAGE_SIZES = {"tiny": (128, 224), "base": (256, 704)}
VIT_SIZES = {"tiny": (384, 6), "base": (768, 12)}
"""Width and heads of a DINOv2 backbone (S and B; 12 layers)."""


def encoder_of(name: str, device: torch.device) -> CameraEncoder:
    file = CONFIGS / f"camera_{name}.yaml"
    entry = yaml.safe_load(file.read_text())
    encoder = build(SensorEncoder, entry, str(file))
    assert isinstance(encoder, CameraEncoder)
    return encoder.to(device).train()


def whole(encoder: CameraEncoder, batch: Batch, options: Any) -> list[tuple[Any, ...]]:
    half = torch.rand(len(batch), 16, 16, device=options.device) < 0.5
    rows, columns = encoder.token_grid.shape
    wanted = torch.nn.functional.interpolate(half[:, None].float(), size=(rows, columns))[:, 0].bool()
    masked = encoder.tokenise(batch).realisable_mask(wanted)
    table = []
    for mixed, mask in ((False, None), (True, None), (False, masked)):

        def run(mixed: bool = mixed, mask: Tensor | None = mask) -> Tensor:
            with autocast(options.device, mixed):
                return encoder(batch, mask).features

        name = f"whole encoder, {'bf16-mixed' if mixed else 'fp32'}"
        if mask is not None:
            name += f", {mask.float().mean():.0%} of the cells hidden"
        table.append(timed(name, run, len(batch), options.device, options.repeats))
    return table


def parts(encoder: CameraEncoder, batch: Batch, options: Any) -> list[tuple[Any, ...]]:
    assert batch.cameras is not None
    images = batch.cameras.images.flatten(0, 1)
    backbone = encoder.backbone
    with torch.no_grad():
        maps = backbone(images)
        values = encoder.pyramid(maps).unflatten(0, (len(batch), -1))
    values.requires_grad_()
    features = ImageFeatures(values, batch.cameras, backbone.strides[0], backbone.origins[0])
    with torch.no_grad():
        lifted = encoder.mix_heights(encoder.lift(features))

    def row(name: str, run: Any) -> tuple[Any, ...]:
        return timed(f"  {name}", run, len(batch), options.device, options.repeats)

    views = measure(lambda: encoder.tokenise(batch).observed, options.device, repeats=options.repeats)
    return [
        ("  which patches see which cells", views.milliseconds / len(batch), "", "", views.peak_mib),
        row("image backbone", lambda: backbone(images)[-1]),
        row("image backbone and pyramid", lambda: encoder.pyramid(backbone(images))),
        row("lift", lambda: encoder.lift(features)),
        row("mixing of heights", lambda: encoder.mix_heights(encoder.lift(features))),
        row("dense network", lambda: encoder.bev(lifted.requires_grad_())[1]),
    ]


def token_dropping(name: str, options: Any) -> list[tuple[Any, ...]]:
    """A DINOv2 backbone on the six images, with growing shares of hidden patches."""
    width, heads = VIT_SIZES[name]
    config = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": 12, "image_size": 518}
    backbone = ImageBackbone(ImageBackboneOptions("dinov2", config, (6, 12), 14)).to(options.device).train()
    height, across = (side // 14 * 14 for side in IMAGE_SIZES[name])
    batch = camera_batch((height, across), options.batch_size, options.device)
    assert batch.cameras is not None
    images = batch.cameras.images.flatten(0, 1)
    table = []
    for share in (0.0, 0.5, 0.75):
        order = torch.rand(len(images), height // 14 * (across // 14), device=options.device).argsort(1)
        masked = (order < share * order.shape[1]).view(len(images), height // 14, across // 14)
        title = f"DINOv2 width {width}, {share:.0%} of the patches dropped"
        run = functools.partial(lambda mask: backbone(images, mask)[-1], masked)
        table.append(timed(title, run, options.batch_size, options.device, options.repeats))
    return table


def main() -> None:
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--encoder", nargs="+", default=["tiny"], choices=("tiny", "base"), help="presets")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.encoder:
        encoder = encoder_of(name, options.device)
        batch = camera_batch(IMAGE_SIZES[name], options.batch_size, options.device)
        size = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        title = (
            f"Camera encoder {name}, {size:.2f} M parameters, batch {options.batch_size}: {describe(options.device)}"
        )
        table = whole(encoder, batch, options) + parts(encoder, batch, options) + token_dropping(name, options)
        print_table(title, COLUMNS, table)


if __name__ == "__main__":
    main()
