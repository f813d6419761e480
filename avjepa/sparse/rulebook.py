"""Which input site meets which output site under which kernel element, in plain torch."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from avjepa.sparse.tensor import site_keys

Size3 = tuple[int, int, int]
"""A size, stride, padding or kernel in (z, y, x) order."""


@dataclass(frozen=True)
class Rulebook:
    """The geometry of one sparse convolution.

    For every kernel element, in (z, y, x) order, ``inputs`` and ``outputs`` list the rows that it connects; ``None``
    connects every row with itself (the centre of a submanifold kernel). Within one element no output row and no input
    row comes twice.
    """

    indices: Int[Tensor, "output_site 4"]
    spatial_shape: Size3
    inputs: tuple[Int64[Tensor, "_"] | None, ...]
    outputs: tuple[Int64[Tensor, "_"] | None, ...]


def convolved_shape(spatial_shape: Size3, kernel: Size3, stride: Size3, padding: Size3) -> Size3:
    """Grid size after a strided convolution, as for dense convolutions.

    Raises:
        ValueError: if nothing would be left.
    """
    z, y, x = (
        (size + 2 * pad - extent) // step + 1
        for size, extent, step, pad in zip(spatial_shape, kernel, stride, padding, strict=True)
    )
    if min(z, y, x) < 1:
        raise ValueError(f"kernel {kernel} with padding {padding} does not fit into the grid {spatial_shape}")
    return z, y, x


def submanifold_rulebook(indices: Int[Tensor, "site 4"], spatial_shape: Size3, kernel: Size3) -> Rulebook:
    """Outputs exist exactly where inputs do (Graham et al., 2018, arXiv 1711.10275). The kernel has odd sizes.

    Sites are looked up in a sorted list of their keys. Three things keep that fast: a kernel element and its mirror
    image share their pairs, swapped; sites that follow each other along x also follow each other in the list, so one
    binary search serves a whole row of the kernel; and voxels usually arrive sorted.
    """
    reach_z, reach_y, reach_x = (size // 2 for size in kernel)
    # a margin at the upper end of y and x keeps a neighbour beyond the border from being taken for one in the next row
    padded = (spatial_shape[0] + reach_z, spatial_shape[1] + reach_y, spatial_shape[2] + reach_x)
    keys = site_keys(indices, padded)
    order = None
    if not bool((keys[1:] > keys[:-1]).all()):
        keys, order = keys.sort()
    end = keys.new_full((1,), torch.iinfo(torch.int64).max)
    listed = torch.cat((keys, end))

    def rows(places: Int64[Tensor, "pair"]) -> Int64[Tensor, "pair"]:
        return places if order is None else order[places]

    centre = kernel[0] * kernel[1] * kernel[2] // 2
    inputs: list[Tensor | None] = [None] * (2 * centre + 1)
    outputs = inputs.copy()
    element = centre + 1
    half = [(0, dy) for dy in range(reach_y + 1)]
    half += [(dz, dy) for dz in range(1, reach_z + 1) for dy in range(-reach_y, reach_y + 1)]
    for dz, dy in half:
        same_row = dz == 0 and dy == 0
        wanted = keys + (dz * padded[1] + dy) * padded[2]
        if same_row:
            place = torch.arange(1, len(keys) + 1, device=keys.device)
        else:
            place = torch.searchsorted(listed, wanted - reach_x)
        for dx in range(1 if same_row else -reach_x, reach_x + 1):
            hit = listed[place] == wanted + dx
            here = hit.nonzero()[:, 0]
            there, here = rows(place[here]), rows(here)
            inputs[element], outputs[element] = there, here
            inputs[2 * centre - element], outputs[2 * centre - element] = here, there
            place = place + hit
            element += 1
    return Rulebook(indices, spatial_shape, tuple(inputs), tuple(outputs))


def strided_rulebook(
    indices: Int[Tensor, "site 4"], spatial_shape: Size3, kernel: Size3, stride: Size3, padding: Size3
) -> Rulebook:
    """Outputs exist wherever the kernel covers an input; they come sorted by (batch, z, y, x)."""
    shape = convolved_shape(spatial_shape, kernel, stride, padding)
    keys = indices[None, :, 0].long()
    valid = torch.ones_like(keys, dtype=torch.bool)
    for axis in range(3):
        output, covered = _covering_outputs(
            indices[:, axis + 1].long(), kernel[axis], stride[axis], padding[axis], shape[axis]
        )
        keys = (keys[:, None] * shape[axis] + output).flatten(0, 1)
        valid = (valid[:, None] & covered).flatten(0, 1)
    element, input_row = valid.nonzero(as_tuple=True)
    sites, output_row = torch.unique(keys[element, input_row], return_inverse=True)
    counts = valid.sum(1).tolist()
    z_y_x = (sites // (shape[1] * shape[2]) % shape[0], sites // shape[2] % shape[1], sites % shape[2])
    batch = sites // (shape[0] * shape[1] * shape[2])
    output_indices = torch.stack((batch, *z_y_x), dim=1).int()
    return Rulebook(output_indices, shape, torch.split(input_row, counts), torch.split(output_row, counts))


def reaches_an_output(
    indices: Int[Tensor, "site 4"], spatial_shape: Size3, kernel: Size3, stride: Size3, padding: Size3
) -> bool:
    """Whether any site is covered by the kernel at all: a stride can step over the border of an odd-sized grid."""
    shape = convolved_shape(spatial_shape, kernel, stride, padding)
    covered = [
        _covering_outputs(torch.arange(size), *window)[1].any(0)
        for size, window in zip(spatial_shape, zip(kernel, stride, padding, shape, strict=True), strict=True)
    ]
    if all(bool(table.all()) for table in covered):  # spares a synchronisation on CUDA
        return len(indices) > 0
    hits = [table.to(indices.device)[indices[:, axis + 1].long()] for axis, table in enumerate(covered)]
    return bool((hits[0] & hits[1] & hits[2]).any())


def _covering_outputs(
    position: Int64[Tensor, "site"], kernel: int, stride: int, padding: int, outputs: int
) -> tuple[Int64[Tensor, "kernel site"], Bool[Tensor, "kernel site"]]:
    """Along one axis: the output that sees ``position`` through each kernel element, and whether there is one."""
    scaled = position + padding - torch.arange(kernel, device=position.device)[:, None]
    output = torch.div(scaled, stride, rounding_mode="floor")
    return output, (output * stride == scaled) & (output >= 0) & (output < outputs)
