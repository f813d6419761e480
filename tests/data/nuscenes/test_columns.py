"""Joining tables by the hashes of their tokens, held against a dictionary."""

import numpy as np
import pytest

from avjepa.data.nuscenes.columns import missing_rows, repeated_rows, rows_by_token, rows_of


@pytest.mark.parametrize("number", [0, 1, 3, 5000])
@pytest.mark.parametrize("range_", [6, 2**62])
def test_rows_are_those_of_a_dictionary(number: int, range_: int) -> None:
    """Hashes from a small range are repeated, and have the same last bits as others."""
    draw = np.random.default_rng(number)
    keys = draw.integers(-range_, range_, number) * draw.choice([1, 1 << 20], number)
    wanted = np.concatenate((keys[::3], draw.integers(-range_, range_, 50), [0, -1]))
    first: dict[int, int] = {}
    for row, key in enumerate(keys.tolist()):
        first.setdefault(key, row)
    assert rows_of(keys, wanted).tolist() == [first.get(key, -1) for key in wanted.tolist()]
    absent = [row for row, key in enumerate(wanted.tolist()) if key and key not in first]
    assert missing_rows(keys, wanted).tolist() == absent
    assert repeated_rows(keys).tolist() == [row for row, key in enumerate(keys.tolist()) if first[key] != row]


def test_tokens_without_a_row_have_none() -> None:
    assert rows_by_token({"a": 3, "b": 0}, iter(["b", "c", "a"]), 3).tolist() == [0, -1, 3]
