"""Sparse convolution by spconv or by spconv-triton, which has spconv's functions: the backends on CUDA.

spconv's own layers are bypassed for its functions, which take features, weight and geometry: the parameters stay ours,
so both backends share one state dict, and gradients also flow in eval mode (spconv's layers drop them there).
"""

import importlib
import importlib.util
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.rulebook import Size3, convolved_shape, reaches_an_output
from avjepa.sparse.tensor import SparseTensor

_LARGEST_IMPLICIT_GEMM_KERNEL = 32  # elements; spconv's implicit GEMM keeps one bit of a 32-bit mask for each


@dataclass(frozen=True)
class SpconvRulebook:
    """spconv's description of one convolution; ``arguments`` are what its function wants beside features and weight."""

    indices: Int[Tensor, "output_site 4"]
    spatial_shape: Size3
    function: Any
    arguments: tuple[Any, ...]


class SpconvBackend(SparseBackend):
    """spconv, or a library with its functions under another name.

    Args:
        name: of the backend.
        package: what is imported.
    """

    def __init__(self, name: str, package: str) -> None:
        self.name, self._package = name, package

    def is_available(self) -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec(self._package) is not None

    def rulebook(
        self, x: SparseTensor, kernel: Size3, stride: Size3, padding: Size3, submanifold: bool
    ) -> SpconvRulebook:
        """Geometry of a convolution on the sites of ``x``.

        Built without grad mode it serves the forward pass only. On the CPU spconv's native algorithm is used, so that
        the adapter can be tested there.
        """
        spconv = _imported(self._package)
        shape = x.spatial_shape if submanifold else convolved_shape(x.spatial_shape, kernel, stride, padding)
        if len(x.indices) == 0 or not (
            submanifold or reaches_an_output(x.indices, x.spatial_shape, kernel, stride, padding)
        ):
            return SpconvRulebook(x.indices[:0], shape, None, ())  # spconv raises an error instead
        sizes = (list(kernel), list(stride), list(padding), [1, 1, 1], [0, 0, 0])
        volume = kernel[0] * kernel[1] * kernel[2]
        if not x.indices.is_cuda or volume > _LARGEST_IMPLICIT_GEMM_KERNEL:
            algorithm = spconv.ConvAlgo.Native
            indices, pairs, counts = spconv.ops.get_indice_pairs(
                x.indices, x.batch_size, list(x.spatial_shape), algorithm, *sizes, submanifold
            )
            function = spconv.functional.indice_subm_conv if submanifold else spconv.functional.indice_conv
            return SpconvRulebook(indices, shape, function, (pairs, counts, len(indices), algorithm))
        training = torch.is_grad_enabled()
        with torch.cuda.device_of(x.indices):  # type: ignore[no-untyped-call]
            indices, _, *pairs, masks = spconv.ops.get_indice_pairs_implicit_gemm(
                x.indices, x.batch_size, list(x.spatial_shape), spconv.ConvAlgo.MaskImplicitGemm, *sizes,
                subm=submanifold, is_train=training,
            )  # fmt: skip
        arguments = (*pairs, len(indices), masks, training, submanifold)
        return SpconvRulebook(indices, shape, spconv.functional.implicit_gemm, arguments)

    def convolve(
        self, features: Float[Tensor, "site input"], weight: Float[Tensor, "output z y x input"], book: SpconvRulebook
    ) -> Float[Tensor, "output_site output"]:
        """Features on the output sites. Differentiable once in features and weight."""
        if len(book.indices) == 0:
            return features[:0] @ weight[:, 0, 0, 0].T  # no rows, yet a path for a zero gradient
        with torch.cuda.device_of(features):  # type: ignore[no-untyped-call]
            result: Tensor = book.function(features.contiguous(), weight.contiguous(), *book.arguments)
        return result


@cache
def _imported(package: str) -> Any:
    """The library, imported without the warnings that its use of deprecated torch names puts on the screen."""
    tracing = logging.getLogger("torch.fx._symbolic_trace")
    level = tracing.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracing.setLevel(logging.ERROR)
        try:
            return importlib.import_module(f"{package}.pytorch")
        finally:
            tracing.setLevel(level)


SPCONV = SpconvBackend("spconv", "spconv")
TRITON = SpconvBackend("triton", "spconv_triton")
"""Newer Python and torch, other makers' GPUs (``pip install 'avjepa[triton]'``); GPU only."""
