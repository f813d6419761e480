"""The kinds of numbers that pass between the parts of the synthetic world."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""What sensors and shading work in."""
Array = NDArray[np.float64]
"""What places and motion are kept in."""
Numbers = int | float | Sequence[Any] | NDArray[Any]
"""A number, or a list of them that numpy makes an array of."""
