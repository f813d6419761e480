"""The numpy array type that jaxtyping annotations of this package are written with."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""``Float32[Array, "point 5"]`` reads and checks as for tensors; a bare ``np.ndarray`` has unknown type arguments."""
