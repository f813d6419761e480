"""The data that a frozen backbone is shown, opened by what the store says of it; and a picture of its maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avjepa.errors import UserError
from avjepa.parsed_values import parsed
from avjepa.training.console import status

if TYPE_CHECKING:
    from avjepa.data.loading.detection_datamodule import DetectionDataModule

SHOWN = (0.2, 0.7)
"""Which keyframes a picture shows, as shares of their number."""


def data_shown(options: Mapping[str, Any], augmentation: Mapping[str, Any] | None = None) -> "DetectionDataModule":
    """The data, set up for prediction.

    Args:
        options: of ``data``, as plain values.
        augmentation: of training samples.

    Raises:
        UserError: an option is none, or the data set cannot be opened.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from avjepa.commands.parsing import readable
    from avjepa.data.loading.detection_datamodule import DetectionDataModule

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(DetectionDataModule, "data")
    given = {**options, **({} if augmentation is None else {"augmentation": dict(augmentation)})}
    try:
        module: DetectionDataModule = parser.instantiate_classes(parsed(parser, {"data": given})).data
    except ArgumentError as error:
        raise UserError(f"--backbone: its release.json: {readable(error)}") from error
    module.setup("predict")
    return module


def picture_of_maps(folder: Path, data: Mapping[str, Any]) -> bytes | None:
    """Two keyframes of the data that a backbone was trained on, and its maps of them beside those of new weights.

    Args:
        folder: of the frozen backbone.
        data: options of ``data`` of its training.

    Returns:
        A PNG; ``None``, and a line that says why, where the data are not there any more.
    """
    import torch

    from avjepa.bundle.construction import build
    from avjepa.data.loading.collate import collate
    from avjepa.data.reading import load_samples
    from avjepa.encoders.base import BEVBackbone
    from avjepa.encoders.bundled import load_backbone, read_backbone_manifest
    from avjepa.release.inputs import inputs_of
    from avjepa.report.features import FeatureMaps, features_figure
    from avjepa.report.images import png_of

    try:
        place = {name: data.get(name) for name in ("dataroot", "version")}
        source = data_shown({**inputs_of(folder), **place, "workers": 0})
        assert source.source is not None
        keyframes = source.source.moments(None, keyframes_only=True).tolist()
        chosen = [keyframes[round(share * (len(keyframes) - 1))] for share in SHOWN]
        samples = [load_samples(source.source, moment, (source.inputs,))[0] for moment in chosen]
    except (UserError, OSError, IndexError) as error:
        status(f"the card has no picture of maps: {error}")
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        architecture = read_backbone_manifest(folder).architecture
        untrained = build(BEVBackbone, architecture, str(folder)).eval()  # type: ignore[type-abstract]
    frozen = load_backbone(folder)
    columns = []
    with torch.inference_mode():
        for title, network in (("new weights", untrained), ("this backbone", frozen)):
            bev = network(collate(samples))
            columns.append(FeatureMaps(title, tuple(bev.features.float()), tuple(bev.observed)))
    return png_of(features_figure(samples, frozen.token_grid, columns), dots_per_inch=70.0)
