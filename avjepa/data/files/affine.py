"""An affine map of all columns of many points, in single precision."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from avjepa.data.arrays import Array

_ROWS = 64
"""Points that an offset is added to at once: an inner loop over a handful of columns is several times as slow."""


def merged_affine(
    clouds: Sequence[Float32[Array, "_ field"]],
    columns: Float32[Array, "cloud field column"],
    offsets: Float32[Array, "cloud column"],
) -> Float[Tensor, "point column"]:
    """All points in one tensor, those of each cloud after an affine map of their own: ``cloud @ columns + offset``.

    numpy's product, because torch's takes seven times as long where there is only a handful of columns.
    """
    merged = np.empty((sum(map(len, clouds)), columns.shape[2]), np.float32)
    start = 0
    for cloud, own, offset in zip(clouds, columns, offsets, strict=True):
        out = merged[start : start + len(cloud)]
        start += len(cloud)
        np.matmul(cloud, own, out=out)
        whole = len(out) // _ROWS * _ROWS
        blocks = out[:whole].reshape(-1, _ROWS * len(offset))
        np.add(blocks, np.tile(offset, _ROWS), out=blocks)
        np.add(out[whole:], offset, out=out[whole:])
    return torch.from_numpy(merged)
