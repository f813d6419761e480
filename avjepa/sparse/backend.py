"""What a library must do to convolve sparse tensors."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor

from avjepa.sparse.rulebook import Size3
from avjepa.sparse.tensor import SparseTensor


class SparseBackend(ABC):
    """Convolves the features of sparse tensors; the parameters, [out, z, y, x, in], belong to the layers.

    Attributes:
        name: as in ``AVJEPA_SPARSE_BACKEND``.
    """

    name: str

    @abstractmethod
    def is_available(self) -> bool:
        """Whether its library is installed."""

    @abstractmethod
    def rulebook(self, x: SparseTensor, kernel: Size3, stride: Size3, padding: Size3, submanifold: bool) -> Any:
        """Geometry of a convolution on the sites of ``x``: has ``indices`` and ``spatial_shape`` of the output.

        Built without grad mode it serves the forward pass only.
        """

    @abstractmethod
    def convolve(
        self, features: Float[Tensor, "site input"], weight: Float[Tensor, "output z y x input"], book: Any
    ) -> Float[Tensor, "output_site output"]:
        """Features on the output sites. Differentiable once in features and weight."""
