"""Sparse convolution by gather, matrix product and scatter, in plain torch: exact on every device."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.rulebook import Rulebook, Size3, strided_rulebook, submanifold_rulebook
from avjepa.sparse.tensor import SparseTensor


class TorchBackend(SparseBackend):
    """Runs everywhere and gives the same bits again."""

    name = "torch"

    def is_available(self) -> bool:
        """Always."""
        return True

    def rulebook(self, x: SparseTensor, kernel: Size3, stride: Size3, padding: Size3, submanifold: bool) -> Rulebook:
        """Geometry of a convolution on the sites of ``x``."""
        if submanifold:
            return submanifold_rulebook(x.indices, x.spatial_shape, kernel)
        return strided_rulebook(x.indices, x.spatial_shape, kernel, stride, padding)

    def convolve(
        self, features: Float[Tensor, "site input"], weight: Float[Tensor, "output z y x input"], book: Rulebook
    ) -> Float[Tensor, "output_site output"]:
        """Features on the output sites. Differentiable once in features and weight."""
        result: Tensor = _GatherMatmulScatter.apply(features, weight, book)  # type: ignore[no-untyped-call]
        return result


class _GatherMatmulScatter(torch.autograd.Function):
    """Written by hand because autograd would keep every gathered block: the kernel's volume times the memory."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, book: Rulebook) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.book = book
        matrices = weight.flatten(1, 3).unbind(1)
        result = None
        if None in book.inputs:
            result = features @ matrices[book.inputs.index(None)].T
        if result is None:
            result = features.new_zeros(len(book.indices), weight.shape[0])
        for matrix, inputs, outputs in zip(matrices, book.inputs, book.outputs, strict=True):
            if inputs is not None and outputs is not None and len(inputs):
                result.index_add_(0, outputs, features.index_select(0, inputs) @ matrix.T)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            return *_gradients(features, weight, ctx.book, gradient, *ctx.needs_input_grad[:2]), None


def _gradients(
    features: Tensor, weight: Tensor, book: Rulebook, gradient: Tensor, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    of_features = torch.zeros_like(features) if needs_features else None
    of_weight = torch.zeros_like(weight) if needs_weight else None
    blocks = of_weight.flatten(1, 3).unbind(1) if of_weight is not None else ()
    for element, (matrix, inputs, outputs) in enumerate(
        zip(weight.flatten(1, 3).unbind(1), book.inputs, book.outputs, strict=True)
    ):
        if inputs is None or outputs is None:
            seen, sent = features, gradient
            if of_features is not None:
                of_features += sent @ matrix
        elif len(inputs):
            seen, sent = features.index_select(0, inputs), gradient.index_select(0, outputs)
            if of_features is not None:
                of_features.index_add_(0, inputs, sent @ matrix)
        else:
            continue
        if blocks:
            blocks[element].copy_(sent.T @ seen)
    return of_features, of_weight


TORCH = TorchBackend()
