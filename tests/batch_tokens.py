"""Tokens of encoders for tests, which keep the batch."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from avjepa.data.sample import Batch
from avjepa.encoders.base import Tokens


@dataclass(frozen=True)
class BatchTokens(Tokens):
    """A batch, what of it was observed, and how to drop a share of it."""

    batch: Batch
    seen: Callable[[Batch], Bool[Tensor, "batch y x"]]
    drop: Callable[[Batch, float], Batch] = lambda batch, share: batch

    @property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        return self.seen(self.batch)

    def without(self, share: float) -> "BatchTokens":
        return BatchTokens(self.drop(self.batch, share), self.seen, self.drop)
