"""Backbones and encoders of bundles, as functions that a configuration can name."""

from pathlib import Path

from avjepa.bundle.files import load_bundle, manifest_path_of
from avjepa.bundle.manifest import Manifest, read_manifest
from avjepa.encoders.base import BEVBackbone, SensorEncoder


def load_backbone(directory: str | Path) -> BEVBackbone:
    """The backbone of a bundle, with its weights, in evaluation mode. Raises as ``load_bundle``."""
    return load_bundle(BEVBackbone, directory)  # type: ignore[type-abstract]


def load_encoder(directory: str | Path) -> SensorEncoder:
    """The encoder of a bundle, which can be masked, with its weights, in evaluation mode. Raises as ``load_bundle``."""
    return load_bundle(SensorEncoder, directory)  # type: ignore[type-abstract]


def read_backbone_manifest(directory: str | Path) -> Manifest:
    """What a backbone's bundle says of itself. Raises as ``read_manifest``."""
    return read_manifest(manifest_path_of(directory))
