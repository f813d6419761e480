"""A process that works by itself exchanges nothing, so processes may have different amounts of such work."""

import torch

from avjepa.distributed import by_itself, means_over_processes, objects_per_process, summed, world_size
from tests.distributed.processes import PROCESSES, on_two_processes


def work(rank: int) -> dict[str, object]:
    value = torch.tensor(float(rank + 1))
    alone = []
    for _ in range(2 - rank):  # one process has twice the work of the other
        with by_itself():
            means = means_over_processes({"loss": value})["loss"]
            alone.append([summed(value).item(), objects_per_process(value).item(), means.item(), world_size()])
    return {"alone": alone, "together": [summed(value).item(), world_size()]}


def test_processes_with_different_amounts_of_work_meet_again_afterwards() -> None:
    first, second = on_two_processes(work)
    assert first["alone"] == [[1.0, 1.0, 1.0, 1]] * 2
    assert second["alone"] == [[2.0, 2.0, 2.0, 1]]
    assert first["together"] == second["together"] == [3.0, PROCESSES]
