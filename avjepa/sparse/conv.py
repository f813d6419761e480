"""Sparse 3-D convolution layers with one parameter layout and several backends: spconv or
spconv-triton on CUDA, plain torch elsewhere.

On the CPU both backends equal dense convolution within float32's rounding. spconv's native algorithm is 10 to 20 %
faster there on real clouds (``tools/benchmark/sparse_backends.py``); plain torch is used all the same: it is
bit-reproducible, which exact resume needs, and does not depend on which build of spconv is installed.
"""

import os
import warnings
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.errors import UserError
from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.rulebook import Size3
from avjepa.sparse.spconv_backend import SPCONV, TRITON
from avjepa.sparse.tensor import SparseTensor
from avjepa.sparse.torch_backend import TORCH

CHOICE = "AVJEPA_SPARSE_BACKEND"
"""Environment variable that names the backend on CUDA: spconv, triton or torch."""
ON_CUDA = (SPCONV, TRITON, TORCH)
"""In the order of preference."""


@cache
def backend_for(device_type: str) -> SparseBackend:
    """The backend that convolves on this kind of device: plain torch, but on CUDA the first of ``ON_CUDA`` installed.

    Raises:
        UserError: ``AVJEPA_SPARSE_BACKEND`` names none that is installed.
    """
    if device_type != "cuda":
        return TORCH
    installed = {backend.name: backend for backend in ON_CUDA if backend.is_available()}
    chosen = os.environ.get(CHOICE)
    if chosen is not None:
        if chosen not in installed:
            raise UserError(f"{CHOICE}={chosen}: is not installed; choose one of {', '.join(installed)}")
        return installed[chosen]
    backend = next(iter(installed.values()))
    if backend is TORCH:
        warnings.warn(
            "neither spconv nor spconv-triton is installed: sparse convolutions on CUDA run in plain torch, slower",
            stacklevel=2,
        )
    return backend


class _SparseConvolution(nn.Module):
    """What both layers share.

    ``weight`` is [out, z, y, x, in], spconv's layout, on every device. Features and weight keep the weight's precision
    under autocast: spconv would round to float16 even under a bfloat16 autocast.
    """

    submanifold: bool

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Size3, stride: Size3, padding: Size3, bias: bool
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.weight = nn.Parameter(torch.empty(out_channels, *kernel, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # He et al., 2015, for a ReLU after the layer
        nn.init.normal_(self.weight, std=(2 / self.weight[0].numel()) ** 0.5)

    def forward(self, x: SparseTensor) -> SparseTensor:
        if x.features.shape[1] != self.in_channels:
            raise ValueError(f"{self}: got features with {x.features.shape[1]} channels")
        backend = backend_for(x.features.device.type)
        key = (backend, self.submanifold, self.kernel, self.stride, self.padding, torch.is_grad_enabled())
        if key not in x.rulebooks:
            x.rulebooks[key] = backend.rulebook(x, self.kernel, self.stride, self.padding, self.submanifold)
        book = x.rulebooks[key]
        with torch.autocast(x.features.device.type, enabled=False):
            features: Float[Tensor, "site channel"] = backend.convolve(
                x.features.to(self.weight.dtype), self.weight, book
            )
            if self.bias is not None:
                features = features + self.bias
        if self.submanifold:
            return x.with_features(features)
        return SparseTensor(features, book.indices, book.spatial_shape, x.batch_size, known_sites=True)

    def extra_repr(self) -> str:
        geometry = f"kernel={self.kernel}"
        if not self.submanifold:
            geometry += f", stride={self.stride}, padding={self.padding}"
        return f"{self.in_channels}, {self.out_channels}, {geometry}, bias={self.bias is not None}"


class SubmanifoldConv3d(_SparseConvolution):
    """Convolution whose output sites are its input sites (Graham et al., 2018, arXiv 1711.10275).

    Equal to a dense convolution with padding ``kernel // 2``, read off at the input sites. Layers of one kernel on
    the same sites share the search for neighbours.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: odd size, for all axes or as (z, y, x).
        bias: whether a bias is added.

    Raises:
        ValueError: if a kernel size is even.
    """

    submanifold = True

    def __init__(self, in_channels: int, out_channels: int, kernel: int | Size3 = 3, bias: bool = False) -> None:
        sizes = _per_axis(kernel)
        if any(size % 2 == 0 for size in sizes):
            raise ValueError(f"a submanifold convolution needs odd kernel sizes, got {sizes}")
        super().__init__(in_channels, out_channels, sizes, (1, 1, 1), tuple(size // 2 for size in sizes), bias)  # type: ignore[arg-type]


class SparseConv3d(_SparseConvolution):
    """Convolution whose output sites are all that its kernel reaches from an input site.

    Equal to a dense convolution, read off at those sites; a bias is added at those sites only.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: size, for all axes or as (z, y, x).
        stride: stride, likewise.
        padding: zero padding on both sides, likewise.
        bias: whether a bias is added.
    """

    submanifold = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | Size3 = 3,
        stride: int | Size3 = 1,
        padding: int | Size3 = 0,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, _per_axis(kernel), _per_axis(stride), _per_axis(padding), bias)


def _per_axis(size: int | Size3) -> Size3:
    return (size, size, size) if isinstance(size, int) else size
