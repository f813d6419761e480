"""Checks of numbers that a user gives: finite, and within what they can mean."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from avjepa.errors import UserError

Number: TypeAlias = float | int
LARGEST_SEED = 2**32 - 1
"""Of NumPy's generators."""
LARGEST = 1e10
"""Beyond every length, count and rate; with more than that, libraries overflow, each in its own words."""


def require_number(
    name: str,
    value: Number,
    *,
    at_least: Number | None = None,
    above: Number | None = None,
    at_most: Number | None = None,
    below: Number | None = None,
) -> None:
    """Raise unless a number is finite and lies within the bounds that are given.

    Args:
        name: the option, as the message calls it.
        value: what it was set to.
        at_least: lowest value.
        above: value that is too low.
        at_most: highest value.
        below: value that is too high.

    Raises:
        UserError: naming the option, the bounds and the value.
    """
    try:
        value = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        value = math.inf if value > 0 else -math.inf
    bounds = (
        ("at least", at_least, at_least is None or value >= at_least),
        ("above", above, above is None or value > above),
        ("at most", at_most, at_most is None or value <= at_most),
        ("below", below, below is None or value < below),
    )
    if math.isfinite(value) and all(holds for _, _, holds in bounds):
        return
    wanted = " and ".join(f"{words} {bound:g}" for words, bound, _ in bounds if bound is not None)
    raise UserError(f"{name}: must be {wanted or 'a finite number'}, got {value:g}")


def require_numbers(
    name: str, values: Sequence[Number], *, at_least: Number | None = None, above: Number | None = None
) -> None:
    """Raise unless there is at least one number, and all of them are finite and within the bounds.

    Raises:
        UserError: see ``require_number``.
    """
    if not values:
        raise UserError(f"{name}: must not be empty; give at least one number")
    for value in values:
        require_number(f"{name} {list(values)}", value, at_least=at_least, above=above)


def require_range(
    name: str, limits: tuple[Number, Number], *, at_least: Number | None = None, above: Number | None = None
) -> None:
    """Raise unless two finite numbers are a range, the lower one first, within the bounds.

    Raises:
        UserError: naming the option and its values.
    """
    require_numbers(name, limits, at_least=at_least, above=above)
    if limits[0] > limits[1]:
        raise UserError(f"{name}: {list(limits)} is no range; give the lower number first")
