"""YAML that does not end is refused before it is built."""

import time

import pytest
import yaml

from avjepa.bounded_yaml import require_bounded

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize("text", ["", "a: [1, {b: 2}]", "base: &base {x: 1}\nmore: {y: *base, z: *base}", "a\n---\nb"])
def test_ordinary_documents(text: str) -> None:
    require_bounded(text)


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x: {y: [{z: 1, z: 1}]}", "1: a\n1: b", "x: &x {}\nx: *x"])
def test_a_key_that_is_said_twice(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is said twice, again in line"):
        require_bounded(text)


@pytest.mark.parametrize("text", ["1: a\n'1': b", "[{a: 1}, {a: 1}]", "a: {b: 1}\nb: {a: 1}", "? [1]\n: a\n? [2]\n: b"])
def test_keys_that_only_look_alike(text: str) -> None:
    require_bounded(text)


@pytest.mark.parametrize("text", [LAUGHS, "a: &a {b: *a}", "a: " + "[" * 20_000 + "]" * 20_000])
def test_documents_without_an_end(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(yaml.YAMLError):
        require_bounded(text)
    assert time.monotonic() - started < 5
