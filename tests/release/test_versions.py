"""X.Y.Z: what has to change with grid, classes and channels, with data or configuration, and with tuning."""

import copy
from typing import Any

import pytest

from avjepa.errors import UserError
from avjepa.release.versions import FIRST, Change, Version, change, next_version

BASE: dict[str, Any] = {
    "interface": {"token_grid": {"cell": 1.6, "x_max": 51.2}, "out_channels": 64, "sensors": ["lidar"], "classes": []},
    "data": {"index": "a"},
    "training": {"seed_everything": 0, "trainer": {"max_steps": 5}, "model": {"objective": "jepa"}, "out": "here"},
}


def changed(*keys: str, to: Any = "other") -> dict[str, Any]:
    content = copy.deepcopy(BASE)
    *path, last = keys
    node = content
    for key in path:
        node = node[key]
    node[last] = to
    return content


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        (("interface", "token_grid", "cell"), "interface"), (("interface", "token_grid", "x_max"), "interface"),
        (("interface", "out_channels"), "interface"), (("interface", "classes"), "interface"),
        (("interface", "sensors"), "interface"), (("data", "index"), "training"),
        (("training", "model", "objective"), "training"), (("training", "trainer", "max_steps"), "tuning"),
        (("training", "seed_everything"), "tuning"),
    ],
)  # fmt: skip
def test_the_level_of_a_change(keys: tuple[str, ...], level: str) -> None:
    found = change(BASE, changed(*keys))
    assert found.level == level and found.of


def test_where_a_training_lay_is_no_change() -> None:
    assert change(BASE, changed("training", "out")) == Change("tuning", ())
    assert change(BASE, changed("training", "ckpt_path", to=None)) == Change("tuning", ())


def test_the_next_version_says_what_changed() -> None:
    latest = Version(1, 4, 2)
    expected = {"interface": "2.0.0", "training": "1.5.0", "tuning": "1.4.3"}
    for level, version in expected.items():
        assert str(next_version(latest, Change(level, ("key",)), None, "base")) == version  # type: ignore[arg-type]
    assert next_version(None, None, None, "base") == FIRST
    assert next_version(None, None, "0.3.0", "base") == Version(0, 3, 0)
    assert Version(1, 10, 0) > Version(1, 9, 9)


@pytest.mark.parametrize(
    ("wanted", "level", "message"),
    [
        ("1.4.2", "tuning", "is there already; give 1.4.3"),
        ("1.4.9", "training", "cell changed, which is a change of training; give 1.5.0"),
        ("1.9.0", "interface", "a change of interface; give 2.0.0"),
        ("2", "interface", "three numbers"), ("1.05.0", "training", "three numbers"), ("-1.0.0", "tuning", "three"),
    ],
)  # fmt: skip
def test_a_version_that_says_too_little_is_refused(wanted: str, level: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next_version(Version(1, 4, 2), Change(level, ("cell",)), wanted, "base")  # type: ignore[arg-type]


def test_more_than_what_changed_may_be_said() -> None:
    assert next_version(Version(1, 4, 2), Change("tuning", ()), "3.1.0", "base") == Version(3, 1, 0)
