"""Label-free pre-training of camera, LiDAR and radar BEV backbones with joint-embedding predictive architectures.

Every command is a function too: ``avjepa.pretrain(config="lidar_tiny", data="DIR", out="RUN")``; see ``avjepa.api``.
"""

import importlib
import importlib.util
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Run", "UserError", "demo", "evaluate", "finetune", "inspect", "label_efficiency", "pack", "pretrain",
    "pseudo_objects", "reid", "release", "robustness", "synth", "trust", "view",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """A function of ``avjepa.api``, imported when it is wanted: a command line needs little of what they need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if importlib.util.find_spec(f"{__name__}.{name}"):  # a room of that name, which can be called as the function is
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
