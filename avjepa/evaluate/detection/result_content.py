"""What a result file of the detection task may hold, and what it holds, as columns."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable

SENSORS = ("camera", "lidar", "radar", "map", "external")
"""What predictions may say they were made from, in ``meta`` as ``use_camera`` and so on."""
VECTORS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}
"""The fields of a box that are lists of so many numbers."""
NUMBERS = sum(VECTORS.values()) + 1
"""Of a box: those of ``VECTORS`` and the score."""

_LARGEST = 1e9
_SMALLEST_ROTATION = 1e-6
_SMALLEST_SIZE = 1e-50  # m; a volume of three of these is no zero yet
_LARGEST_SIZE = 1e3  # m; nothing on a road is that long


def refusal(path: Path, problem: str) -> UserError:
    """The error of a result file that is not used."""
    return UserError(f"{path}: {problem}; predict again, or mend the file")


def shown(value: object) -> str:
    """A value of a stranger's file for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


class Vocabulary:
    """The names that a box may have, and their numbers.

    Args:
        taxonomy: says which classes and attributes there are.
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.classes = {name: index for index, name in enumerate(taxonomy.classes)}
        self.attributes = {"": NO_ATTRIBUTE} | {name: index for index, name in enumerate(taxonomy.attribute_names())}

    def pairs(self) -> dict[tuple[str, str], tuple[int, int]]:
        """The numbers of every class and attribute together."""
        both = itertools.product(self.classes.items(), self.attributes.items())
        return {(kind, attribute): (number, value) for (kind, number), (attribute, value) in both}


@dataclass(frozen=True)
class ResultContent:
    """A result file whose fields are there and of their types, in the file's order."""

    meta: Mapping[str, object]
    tokens: tuple[str, ...]
    """Every sample that is listed."""
    sample: Int64[Array, "box"]
    """Position of a box's sample among the tokens."""
    names: Int64[Array, "box 2"]
    """Class and attribute, numbered as in the ``Vocabulary``."""
    numbers: Float64[Array, f"box {NUMBERS}"]
    """Translation, size, rotation, velocity, score."""

    def sensors(self, path: Path) -> tuple[str, ...]:
        """Of ``SENSORS``: what the predictions were made from, as far as the file says.

        Raises:
            UserError: it says so in another way than true or false.
        """
        for name in SENSORS:
            if not isinstance(self.meta.get(f"use_{name}", False), bool):
                raise refusal(path, f"meta: 'use_{name}' is neither true nor false")
        return tuple(name for name in SENSORS if self.meta.get(f"use_{name}"))

    def boxes(self, path: Path) -> BoxTable:
        """The boxes.

        Raises:
            UserError: a number is NaN, infinite or absurd, or a size is not positive.
        """
        numbers = self.numbers
        size, rotation = numbers[:, 3:6], numbers[:, 6:10]
        self._require(path, (-_LARGEST, numbers, _LARGEST), "a number is NaN, infinite or absurdly large")
        self._require(path, (_SMALLEST_SIZE, size, _LARGEST), "size is not positive")
        self._require(path, (0.0, size, _LARGEST_SIZE), f"size is absurd, {_LARGEST_SIZE:g} m or more")
        length = np.sqrt(np.einsum("bi,bi->b", rotation, rotation))
        self._require(path, (_SMALLEST_ROTATION, length[:, None], 2 * _LARGEST), "rotation is no quaternion")
        return BoxTable(
            sample=self.sample, class_index=self.names[:, 0], translation=numbers[:, :3], size=size,
            yaw=_yaw(rotation / length[:, None]), velocity=numbers[:, 10:12], attribute=self.names[:, 1],
            score=numbers[:, 12],
        )  # fmt: skip

    def _require(self, path: Path, bounds: tuple[float, Float64[Array, "box number"], float], problem: str) -> None:
        """Raise unless all numbers lie strictly within bounds, which NaN does not."""
        low, numbers, high = bounds
        if not numbers.size or (low < numbers.min() and numbers.max() < high):
            return
        row = int(np.argmin(((low < numbers) & (numbers < high)).all(1)))
        raise refusal(path, f"sample {shown(self.tokens[int(self.sample[row])])}: {problem}")


def _yaw(unit: Float64[Array, "box 4"]) -> Float64[Array, "box"]:
    w, x, y, z = unit.T
    return np.asarray(np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z)))
