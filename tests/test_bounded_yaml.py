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


@pytest.mark.parametrize("text", [LAUGHS, "a: &a {b: *a}", "a: " + "[" * 20_000 + "]" * 20_000])
def test_documents_without_an_end(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(yaml.YAMLError):
        require_bounded(text)
    assert time.monotonic() - started < 5
