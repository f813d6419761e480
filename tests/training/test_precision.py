"""Which precision a training computes in on the processor at hand."""

import pytest

from avjepa.training import precision


@pytest.mark.parametrize(
    ("asked", "on_cpu", "fast", "used"),
    [
        ("bf16-mixed", True, False, "32-true"),
        ("bf16-mixed", True, True, "bf16-mixed"),
        ("bf16-mixed", False, False, "bf16-mixed"),
        ("16-mixed", True, False, "16-mixed"),
        ("32-true", True, False, "32-true"),
    ],
)
def test_bfloat16_is_for_what_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, on_cpu: bool, fast: bool, used: str
) -> None:
    monkeypatch.setattr(precision, "is_fast_in_bfloat16", lambda: fast)
    assert precision.suited_precision(asked, on_cpu) == used


def test_a_processor_with_avx512_bf16_is_fast_and_one_without_avx512_is_not() -> None:
    with open("/proc/cpuinfo") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    if "avx512_bf16" in flags:
        assert precision.is_fast_in_bfloat16()
    if "avx512f" not in flags:
        assert not precision.is_fast_in_bfloat16()
