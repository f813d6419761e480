"""Compare the sparse backends with dense convolution, in value and gradient: python tools/check_sparse_parity.py

Meant for a machine with CUDA, where spconv runs kernels that no test on the CPU reaches; ``--device cpu`` runs its
native algorithm. Exits with code 1 if anything differs by more than the tolerance, relative to the largest dense value.
"""

import argparse
import sys
from collections.abc import Iterator

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.conv import ON_CUDA, SparseConv3d, SubmanifoldConv3d
from avjepa.sparse.spconv_backend import TRITON
from avjepa.sparse.tensor import SparseTensor
from avjepa.sparse.torch_backend import TORCH

Layer = SubmanifoldConv3d | SparseConv3d
SHAPE, BATCH = (16, 20, 28), 3
LAYERS: tuple[Layer, ...] = (
    SubmanifoldConv3d(8, 16),
    SubmanifoldConv3d(16, 16),
    SubmanifoldConv3d(32, 64, (1, 3, 5)),
    SubmanifoldConv3d(16, 16, 5),
    SubmanifoldConv3d(16, 32, 1),
    SparseConv3d(16, 32, 3, 2, 1),
    SparseConv3d(16, 32, 2, 2),
    SparseConv3d(32, 48, (16, 1, 1), (16, 1, 1)),
    SparseConv3d(16, 16, 3, (1, 2, 3), (0, 1, 2)),
)
QUANTITIES = ("value", "gradient of features", "gradient of weight")


def sites(share: float, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    occupied = torch.rand(BATCH, *SHAPE, generator=generator) < share
    occupied[1] = False  # a sample without sites
    return occupied.nonzero().int().contiguous().to(device)


def dense(layer: Layer, rows: Tensor, indices: Tensor, outputs: Tensor) -> Tensor:
    """Rows of the dense convolution at the output sites, computed in float64."""
    volume = rows.new_zeros(BATCH, *SHAPE, rows.shape[1]).index_put(tuple(indices.long().T), rows)
    weight = layer.weight.double().permute(0, 4, 1, 2, 3)
    result = functional.conv3d(volume.permute(0, 4, 1, 2, 3), weight, stride=layer.stride, padding=layer.padding)
    return result.permute(0, 2, 3, 4, 1)[tuple(outputs.long().T)]


def errors(layer: Layer, backend: SparseBackend, indices: Tensor) -> list[float]:
    """Largest deviation of each of ``QUANTITIES``, relative to the largest dense value; infinite for wrong sites."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(len(indices), layer.in_channels, generator=generator).to(indices.device).requires_grad_()
    x = SparseTensor(rows, indices, SHAPE, BATCH)
    book = backend.rulebook(x, layer.kernel, layer.stride, layer.padding, layer.submanifold)
    reference_book = TORCH.rulebook(x, layer.kernel, layer.stride, layer.padding, layer.submanifold)
    if set(map(tuple, book.indices.tolist())) != set(map(tuple, reference_book.indices.tolist())):
        return [float("inf")] * len(QUANTITIES)
    result = backend.convolve(rows, layer.weight, book)
    exact_rows = rows.detach().double().requires_grad_()
    expected = dense(layer, exact_rows, indices, book.indices)
    direction = torch.randn(result.shape, generator=generator).to(indices.device)
    got = (result, *torch.autograd.grad(result, (rows, layer.weight), direction))
    want = (expected, *torch.autograd.grad(expected, (exact_rows, layer.weight), direction.double()))
    return [
        float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1e-6))
        for a, b in zip(got, want, strict=True)
    ]


def parity(device: torch.device, backend: SparseBackend) -> Iterator[tuple[Layer, int, list[float]]]:
    """Every layer, on few sites and on many: layer, number of sites, ``errors``."""
    for layer in LAYERS:
        layer = layer.to(device)
        for share in (0.01, 0.3):
            indices = sites(share, device)
            yield layer, len(indices), errors(layer, backend, indices)


def backends(device: torch.device) -> list[SparseBackend]:
    """What is installed and runs on the device."""
    return [b for b in ON_CUDA if b.is_available() and (b is not TRITON or device.type == "cuda")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; --device cpu checks what can be checked without one")
    table = Table("layer", "sites", "backend", *QUANTITIES, "verdict", title=f"Relative deviation, {options.device}")
    failed = False
    for backend in backends(options.device):
        for layer, count, deviations in parity(options.device, backend):
            good = max(deviations) <= options.tolerance
            failed |= not good
            cells = [f"{value:.1e}" for value in deviations]
            table.add_row(str(layer), f"{count:,}", backend.name, *cells, "equal" if good else "[red]DIFFERS")
    Console(width=None if Console().is_terminal else 170).print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
