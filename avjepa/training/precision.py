"""In which precision a training computes on the machine at hand."""

import torch

FULL = "32-true"


def suited_precision(precision: str, on_cpu: bool) -> str:
    """The precision that is asked for, or ``32-true`` where the processor would only imitate it.

    A processor without AVX-512 has no fast arithmetic in bfloat16: torch computes it number by number, and a step takes
    five to ten times as long as in 32 bits, in which it is more exact besides.

    Args:
        precision: as in ``trainer.precision``.
        on_cpu: whether the processor does the work.
    """
    imitated = on_cpu and precision.startswith("bf16") and not is_fast_in_bfloat16()
    return FULL if imitated else precision


def is_fast_in_bfloat16() -> bool:
    """Whether the processor has instructions that oneDNN computes with in bfloat16."""
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
