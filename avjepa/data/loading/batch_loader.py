"""Batches from worker processes, in an order that can be resumed, with errors that a user can read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from avjepa.data.loading.dataset import MomentDataset
from avjepa.data.loading.transfer import received, sent
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.errors import UserError

BatchType = TypeVar("BatchType")


class BatchLoader(Generic[BatchType]):
    """Iterates over batches 0 to ``steps`` - 1, each time from the start.

    A plain iterable for Lightning, which then leaves its sampler and its workers alone.

    Args:
        dataset: items by ``SampleRequest``.
        batch: draws of a batch by its number.
        steps: number of batches.
        collate: items to a batch.
        workers: worker processes; 0 loads in this process.
    """

    def __init__(
        self,
        dataset: MomentDataset[Any],
        batch: Callable[[int], Sequence[SampleRequest]],
        steps: int,
        collate: Callable[[Sequence[Any]], BatchType],
        workers: int = 0,
    ) -> None:
        self.dataset = dataset
        self._batch = batch
        self._steps = steps
        self._collate = collate
        self._workers = workers

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[BatchType]:
        return self._batches(0, self._steps)

    def _batches(self, first: int, end: int) -> Iterator[BatchType]:
        pin_memory = torch.cuda.is_available()
        loader: DataLoader[Any] = DataLoader(
            _Guarded(self.dataset),
            batch_sampler=_Numbered(self._batch, first, end),
            collate_fn=_GuardedCollate(self._collate),
            num_workers=self._workers,
            prefetch_factor=4 if self._workers else None,
            pin_memory=pin_memory,
            generator=torch.Generator().manual_seed(0),  # the workers' seed must not come from the global generator
        )
        for batch in loader:
            if isinstance(batch, _Failed):
                raise batch.error
            yield received(batch, pin_memory)


class ResumableLoader(BatchLoader[BatchType]):
    """Goes on where the last iteration stopped, also in another process: see ``state_dict``.

    Its length counts the batches of a whole epoch, those done before it was resumed included, as Lightning expects.

    Attributes:
        batches_done: batches handed out since the start of the training.
    """

    batches_done: int = 0

    def __iter__(self) -> Iterator[BatchType]:
        epoch_end = (self.batches_done // self._steps + 1) * self._steps
        for batch in self._batches(self.batches_done, epoch_end):
            self.batches_done += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint has to hold."""
        return {"batches_done": self.batches_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that the state counts."""
        self.batches_done = state["batches_done"]


class _Numbered:
    """The draws of batches ``first`` to ``end`` - 1, for ``DataLoader``."""

    def __init__(self, batch: Callable[[int], Sequence[SampleRequest]], first: int, end: int) -> None:
        self._batch, self._first, self._end = batch, first, end

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        return (list(self._batch(number)) for number in range(self._first, self._end))

    def __len__(self) -> int:
        return self._end - self._first


class _Failed:
    """A user's error on its way out of a worker: raised there, it would arrive as a traceback in a string."""

    def __init__(self, error: UserError) -> None:
        self.error = error


class _Guarded(Dataset[Any]):
    def __init__(self, dataset: MomentDataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, draw: SampleRequest) -> Any:
        try:
            return self._dataset[draw]
        except UserError as error:
            return _Failed(error)


class _GuardedCollate:
    def __init__(self, collate: Callable[[Sequence[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: Sequence[Any]) -> Any:
        failed = [item for item in items if isinstance(item, _Failed)]
        return failed[0] if failed else sent(self._collate(items))
