"""Numbers that a user gives are finite and within what they can mean, or the message names the option."""

import math

import pytest

from avjepa.errors import UserError
from avjepa.ranges import require_number, require_numbers, require_range


@pytest.mark.parametrize("value", [1, 2.5, 3])
def test_bounds_hold(value: float) -> None:
    require_number("x", value, at_least=1, above=0.5, at_most=3, below=3.5)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (math.nan, {}),
        (math.inf, {"at_least": 0}),
        (-math.inf, {}),
        (0, {"at_least": 1}),
        (0, {"above": 0}),
        (2, {"at_most": 1}),
        (1, {"below": 1}),
    ],
)
def test_bounds_do_not_hold(value: float, bounds: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"^trainer\.x: must be "):
        require_number("trainer.x", value, **bounds)


@pytest.mark.parametrize("values", [(), (1, 0), (math.nan,)])
def test_no_list_of_positive_numbers(values: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="widths"):
        require_numbers("widths", values, above=0)


@pytest.mark.parametrize("limits", [(1.05, 0.95), (0.0, 1.0), (1.0, math.inf)])
def test_no_range(limits: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="scale"):
        require_range("scale", limits, above=0)
