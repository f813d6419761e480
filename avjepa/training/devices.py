"""Which device each of several processes on one machine works on."""

from typing import Any

import torch


def device_of_slot(slot: int, accelerator: str = "auto") -> torch.device:
    """One device for the process in a place: the GPUs in turn, so that processes share them; else the processor.

    Args:
        slot: number of the process among those of this machine, from 0.
        accelerator: as in ``trainer``; ``cpu`` leaves the GPUs alone.
    """
    gpus = 0 if accelerator == "cpu" else torch.cuda.device_count()
    return torch.device("cuda", slot % gpus) if gpus else torch.device("cpu")


def trainer_options(device: torch.device) -> dict[str, Any]:
    """Keys of ``trainer`` that keep it to one device."""
    if device.type == "cuda":
        return {"accelerator": "gpu", "devices": [device.index]}
    return {"accelerator": "cpu", "devices": 1}
