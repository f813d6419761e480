"""The numpy array type that jaxtyping annotations of this package are written with."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""``Float32[Array, "point 5"]`` reads and checks as for tensors; a bare ``np.ndarray`` has unknown type arguments, and
``NDArray`` is no class from NumPy 2.5 on, as jaxtyping wants one."""
