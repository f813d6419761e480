"""What a bundle's backbone makes of some keyframes, shown what it was shown in its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from avjepa.bundle.construction import require_trusted
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import KEEP_ALL_RETURNS, RadarFilter
from avjepa.data.loading.collate import collate
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.encoders.base import BEVBackbone, SensorEncoder
from avjepa.encoders.bundled import load_backbone, read_backbone_manifest
from avjepa.errors import UserError
from avjepa.parsed_values import parsed
from avjepa.pretrain.masking.generators import MaskGenerator
from avjepa.progress import with_bar
from avjepa.report.features import PCABasis
from avjepa.report.recording import MapOfFrame
from avjepa.zoo import located


@dataclass(frozen=True)
class _Encoded:
    features: Float[Tensor, "channel y x"]
    observed: Bool[Tensor, "y x"]
    masked: Bool[Tensor, "y x"] | None


def maps_of(bundle: str, dataset: DrivingDataset, moments: Sequence[int]) -> list[MapOfFrame]:
    """The maps of some keyframes in the colours of their first three principal components, fitted on them all.

    Where the bundle says by which masks its backbone was pre-trained, one is drawn for every keyframe.

    Raises:
        UserError: the bundle cannot be read, or does not say what its backbone was shown.
        BadFileError: a sensor file cannot be read.
    """
    folder = located(bundle)
    backbone = load_backbone(folder)
    configuration = read_backbone_manifest(folder).provenance.get("configuration")
    if not isinstance(configuration, Mapping):
        raise UserError(f"--bundle {bundle}: does not say what its backbone was shown; take one of avjepa pretrain")
    inputs, masks = _inputs(configuration, bundle), _masks(configuration, bundle)
    encoded = [_encoded(backbone, masks, dataset, moment, inputs) for moment in with_bar(moments, f"maps of {bundle}")]
    basis = PCABasis.fit([one.features for one in encoded], [one.observed for one in encoded])
    return [
        MapOfFrame(backbone.token_grid, basis.rgb(one.features, one.observed), one.observed, one.masked)
        for one in encoded
    ]


def _encoded(
    backbone: BEVBackbone, masks: MaskGenerator | None, dataset: DrivingDataset, moment: int, inputs: SensorInputs
) -> _Encoded:
    (sample,) = load_samples(dataset, moment, (inputs,), seed=moment)
    batch = collate([sample])
    with torch.inference_mode():
        bev = backbone(batch)
        masked = None
        if masks is not None and isinstance(backbone, SensorEncoder):
            tokens = backbone.tokenise(batch)
            drawn = masks.sample(tokens.observed, batch.seeds, backbone.token_grid, batch.bev_from_level[:, :2, 3])
            masked = tokens.realisable_mask(drawn)[0]
    return _Encoded(bev.features[0].float(), bev.observed[0], masked)


def _inputs(configuration: Mapping[str, Any], bundle: str) -> SensorInputs:
    try:
        data = configuration["data"]
        kept = data.get("radar_filter")
        radar = KEEP_ALL_RETURNS if kept is None else RadarFilter(**{
            name: None if codes is None else tuple(codes) for name, codes in kept.items()
        })  # fmt: skip
        height, width = data.get("image_size", (256, 704))
        every = SensorInputs(
            LidarSweeps(data.get("lidar_sweeps", 1)), RadarSweeps(data.get("radar_sweeps", 6), keep=radar),
            ImageTransform(height, width),
        )  # fmt: skip
        return every.of(data["sensors"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"--bundle {bundle}: its configuration does not say what the backbone was shown") from error


def _masks(configuration: Mapping[str, Any], bundle: str) -> MaskGenerator | None:
    """``None`` for a backbone that no masks were drawn for."""
    node: Any = configuration
    for key in ("model", "objective", "init_args", "masks"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return None
    require_trusted(node, f"--bundle {bundle}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(MaskGenerator, "masks")
    try:
        masks: MaskGenerator = parser.instantiate_classes(parsed(parser, {"masks": node})).masks
    except (ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"--bundle {bundle}: its masks cannot be drawn: {' '.join(str(error).split())}") from error
    return masks
