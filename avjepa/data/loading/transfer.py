"""How a batch gets from a worker process to the training: through shared memory, or a pipe where that is full."""

import pickle
from dataclasses import dataclass
from typing import Any

from torch.utils.data import get_worker_info

from avjepa.data.sample import Batch, PretrainBatch


@dataclass(frozen=True)
class _Pickled:
    """A batch by value."""

    content: bytes


def sent(batch: Any) -> Any:
    """What a worker process hands over for a batch; in the training's own process the batch itself.

    Tensors travel through shared memory (``/dev/shm``), which in a container may be as small as 64 MiB. Left to torch,
    they would be put there by a thread whose failure nobody sees, and the training would wait for ever. Put there
    here, a failure is an exception, and the batch takes the pipe: slower, but there is always one.
    """
    if get_worker_info() is None or not isinstance(batch, Batch | PretrainBatch):
        return batch
    try:
        return batch.mapped(lambda tensor: tensor.share_memory_())  # type: ignore[no-untyped-call]
    except RuntimeError:
        return _Pickled(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL))


def received(message: Any, pin_memory: bool) -> Any:
    """The batch that was ``sent``; a pickled one is pinned here, others have been by the ``DataLoader``."""
    if not isinstance(message, _Pickled):
        return message
    batch = pickle.loads(message.content)
    return batch.pin_memory() if pin_memory else batch
