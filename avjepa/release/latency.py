"""How long a model takes for one sample, and what memory, on one device."""

import statistics
import time
from typing import Any

import torch

from avjepa.data.sample import Batch
from avjepa.model.perception_model import PerceptionModel
from avjepa.processes import peak_resident_bytes

_WARM, _TIMED = 2, 7


@torch.no_grad()
def latency_of(model: PerceptionModel, batch: Batch, device: torch.device) -> dict[str, Any]:
    """Measure predictions through backbone, neck and heads, sensor data in memory to boxes in memory.

    Args:
        model: read in full; maps that are kept are not used.
        batch: one sample.
        device: to run on.

    Returns:
        ``latency_ms`` (median), ``memory_mib`` (of the device; of this process on the CPU, the rest of it included) and
        ``device``.
    """
    maps, training = model.maps, model.training
    model.maps = None
    model.eval().to(device)
    batch = batch.to(device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    try:
        for turn in range(_WARM + _TIMED):
            started = time.perf_counter()
            model.predict(batch)
            if on_gpu:
                torch.cuda.synchronize(device)
            times.append((time.perf_counter() - started) if turn >= _WARM else 0.0)
    finally:
        model.maps = maps
        model.train(training)
    memory = torch.cuda.max_memory_allocated(device) if on_gpu else peak_resident_bytes()
    return {
        "latency_ms": round(1e3 * statistics.median(times[_WARM:]), 2),
        "memory_mib": round(memory / 2**20, 1),
        "device": torch.cuda.get_device_name(device) if on_gpu else f"cpu, {torch.get_num_threads()} thread(s)",
    }
