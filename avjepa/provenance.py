"""What a result was made with, written beside it."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import avjepa
from avjepa.files import write_json

FILE_NAME = "provenance.json"

PACKAGES = (
    "torch", "lightning", "jsonargparse", "numpy", "scipy", "nuscenes-devkit", "open3d", "transformers", "safetensors",
    "spconv-cu120", "spconv-cu126",
)  # fmt: skip
"""Packages whose version can change a result."""


def package_versions() -> dict[str, str]:
    """Versions of those of ``PACKAGES`` that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, and CUDA devices."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": cores,
        "memory_gib": round(memory, 1),
        "cuda_devices": devices,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


@functools.cache
def commit() -> str | None:
    """The commit of the clone that runs, and whether files were changed since; ``None`` for an installed package."""
    root = Path(avjepa.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", "avjepa", "configs"], capture_output=True,
            text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def provenance(command: str, configuration: Mapping[str, Any], *, seed: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is made with, at its start.

    Args:
        command: its name.
        configuration: every option of the command, as plain values.
        seed: of everything random.
        data: fingerprints of the data, see ``DatasetIndex.fingerprint``.
    """
    return {
        "avjepa": avjepa.__version__,
        "commit": commit(),
        "command": command,
        "configuration": dict(configuration),
        "seed": seed,
        "data": dict(data),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "hardware": hardware(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_provenance(directory: str | Path, made_with: Mapping[str, Any], **results: Any) -> Path:
    """Write ``provenance.json`` atomically; ``results`` (wall seconds, steps) are added to ``made_with``."""
    path = Path(directory) / FILE_NAME
    write_json(path, {**made_with, **results})
    return path
