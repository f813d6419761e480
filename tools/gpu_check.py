"""Does everything work on this machine's GPU, and how fast? python tools/gpu_check.py [--data DIR --version V]

Checks, each in a row of one table: both sparse backends against dense convolution; one step of the three base
configurations in float32, bfloat16 and float16, pre-training and fine-tuning; what a step of each costs in time and
memory, how often it makes the CPU wait for the GPU, and how long it waits for data; how many samples a second a packed
cache and the sensor files give; exact resume; the boxes that the GPU and the CPU predict with the same weights. At most
8 minutes on one GPU.

Without ``--data`` a small synthetic world is made first, which needs open3d. ``--device cpu --quick`` runs the same
code in small, so that it cannot rot. Exits with code 1 if a check fails.
"""

import argparse
import csv
import json
import math
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from check_sparse_parity import backends, parity
from lightning import Callback, Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from avjepa.cli import main as avjepa
from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.pretrain import PretrainCLI
from avjepa.commands.training import TrainingCLI
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.conv import backend_for
from avjepa.sparse.spconv_backend import TRITON
from avjepa.training.metrics import read_curves

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SENSORS = ("lidar", "camera", "radar")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
UNLIKE = 4.0
"""How many times further from float32's gradient one in half precision may turn than a rounding of the weights does."""


@dataclass(frozen=True)
class Row:
    """One line of the table: ``passed`` is None for a figure that is no check."""

    check: str
    subject: str
    value: float
    unit: str
    passed: bool | None = None
    remark: str = ""


@dataclass(frozen=True)
class Setting:
    """What every check needs to know."""

    device: torch.device
    quick: bool
    data: Path
    version: str
    scratch: Path
    sensors: tuple[str, ...] = SENSORS

    def configuration(self, command: str, sensor: str) -> Path:
        """The base configuration; the laptop's in a quick run."""
        return CONFIGS / command / (f"{sensor}_tiny.yaml" if self.quick else f"{sensor}.yaml")

    def cli(self, command: str, sensor: str, out: str, *more: str, workers: int | None = None) -> TrainingCLI:
        """The command's own trainer, model and data, not started."""
        arguments = ["--config", str(self.configuration(command, sensor)), "--data", str(self.data)]
        arguments += ["--version", self.version, "--out", str(self.scratch / out), "--trainer.devices", "1"]
        arguments += ["--trainer.accelerator", "gpu" if self.device.type == "cuda" else "cpu"]
        if workers is not None:
            arguments += ["--data.workers", str(workers)]
        if self.quick:
            arguments += ["--data.batch_size", "2"]
        if command == "pretrain":
            return PretrainCLI("pretrain", PretrainModule, PretrainDataModule, [*arguments, *more])
        arguments += ["--evaluate", "false"]
        return FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, [*arguments, *more])


def check_parity(setting: Setting) -> Iterator[Row]:
    """Sparse convolution against dense convolution, value and gradients."""
    for backend in backends(setting.device):
        if backend is not TRITON:
            yield from _parity_of(backend, setting)


def check_triton(setting: Setting) -> Iterator[Row]:
    """The same of spconv-triton, which compiles its kernels first: minutes."""
    if TRITON in backends(setting.device):
        yield from _parity_of(TRITON, setting)


def _parity_of(backend: SparseBackend, setting: Setting) -> Iterator[Row]:
    for layer, sites, deviations in parity(setting.device, backend):
        worst = max(deviations)
        yield Row(f"parity of {backend.name}", f"{layer}, {sites} sites", worst, "relative", worst <= 1e-4)


def check_precision(setting: Setting) -> Iterator[Row]:
    """One step of every base configuration in three precisions, and the device synchronisations in it."""
    for command in ("pretrain", "finetune"):
        for sensor in setting.sensors:
            yield from _steps_of(setting, command, sensor)


def _steps_of(setting: Setting, command: str, sensor: str) -> Iterator[Row]:
    torch.manual_seed(0)
    cli = setting.cli(command, sensor, f"step_{command}_{sensor}", workers=0)
    cli.datamodule.setup("fit")
    batch = cli.datamodule.transfer_batch_to_device(next(iter(cli.datamodule.train_dataloader())), setting.device, 0)
    module = cli.model.to(setting.device).train()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    exact, _ = _gradient(module, batch, setting.device, None)
    for name, dtype in PRECISIONS.items():
        if setting.device.type == "cpu" and dtype == torch.float16:
            continue
        subject = f"{command} {sensor} {name}"
        if dtype is not None:
            _perturb(module, dtype)
            yardstick = _angle(_gradient(module, batch, setting.device, None)[0], exact)
            module.load_state_dict(state)
            gradient, loss = _gradient(module, batch, setting.device, dtype)
            angle = _angle(gradient, exact)
            module.load_state_dict(state)
            good = bool(torch.isfinite(gradient).all()) and angle <= UNLIKE * yardstick + 1
            remark = f"loss {loss:.4f}; {yardstick:.1f} for float32 with weights off by a rounding"
            yield Row("gradient against float32", subject, angle, "degrees", good, remark)
        step = _timed(lambda dtype=dtype: _gradient(module, batch, setting.device, dtype), setting)  # type: ignore[misc]
        yield Row("forward and backward", subject, step, "ms a batch", None, f"{cli.datamodule.batch_size} samples")
        if setting.device.type == "cuda" and dtype == torch.bfloat16:
            busy, slowest = _busy(lambda: _gradient(module, batch, setting.device, torch.bfloat16), setting.device)
            yield Row("GPU at work in that", subject, busy, "ms a batch", None, slowest)
    if setting.device.type == "cuda":
        waits = _synchronisations(lambda: _gradient(module, batch, setting.device, torch.bfloat16))
        places = ", ".join(f"{place} x{count}" for place, count in waits.items())
        yield Row("synchronisations a step", f"{command} {sensor}", sum(waits.values()), "waits", None, places)


def _gradient(module: Any, batch: Any, device: torch.device, dtype: torch.dtype | None) -> tuple[Tensor, float]:
    """Gradient of all parameters in one row, and the loss; float16's loss is scaled as ``GradScaler`` scales it."""
    for scale in [2.0**power for power in range(16, -8, -4)] if dtype == torch.float16 else [1.0]:
        torch.manual_seed(1)
        module.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            loss = (
                module.objective(batch).loss if isinstance(module, PretrainModule) else module.model.loss(batch).total
            )
        (loss * scale).backward()
        if dtype != torch.float16 or all(
            bool(p.grad.isfinite().all()) for p in module.parameters() if p.grad is not None
        ):
            break
    rows = [p.grad.detach().flatten() if p.grad is not None else p.new_zeros(p.numel()) for p in module.parameters()]
    return torch.cat(rows).double() / scale, float(loss.detach())


@torch.no_grad()
def _perturb(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Weights off by a rounding to ``dtype``: how far that turns the gradient is the measure for half precision."""
    for parameter in module.parameters():
        parameter.mul_(1 + torch.finfo(dtype).eps * (torch.rand_like(parameter) - 0.5))


def _angle(one: Tensor, other: Tensor) -> float:
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=0).clamp(-1, 1)
    return float(torch.rad2deg(torch.arccos(cosine)))


def _busy(step: Callable[[], object], device: torch.device) -> tuple[float, str]:
    """Milliseconds of a step in which kernels run, and the operations that take most of them."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        step()
        _wait(device)
    times = {event.key: event.self_device_time_total / 1e3 for event in profile.key_averages()}
    kernels = {event.key: event.count for event in profile.key_averages() if event.key == "cudaLaunchKernel"}
    slowest = sorted(times, key=lambda name: -times[name])[:6]
    text = ", ".join(f"{name[:40]} {times[name]:.1f}" for name in slowest)
    return sum(times.values()) / 2, f"{sum(kernels.values())} launches; {text}"


def _timed(step: Callable[[], object], setting: Setting) -> float:
    """Milliseconds, median."""
    durations = []
    for repeat in range(2 if setting.quick else 6):
        _wait(setting.device)
        start = time.perf_counter()
        step()
        _wait(setting.device)
        if repeat > 1 or setting.quick:
            durations.append(1e3 * (time.perf_counter() - start))
    return statistics.median(durations)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _synchronisations(step: Callable[[], object]) -> dict[str, int]:
    """How often the CPU waits for the GPU in a step, by the line that makes it wait."""
    waits: dict[str, int] = {}

    def note(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        stack = [frame for frame in traceback.extract_stack() if "/avjepa/" in frame.filename]
        place = f"{Path(stack[-1].filename).name}:{stack[-1].lineno}" if stack else f"{Path(filename).name}:{lineno}"
        waits[place] = waits.get(place, 0) + 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return waits


def check_training(setting: Setting) -> Iterator[Row]:
    """Whole trainings with their own loaders: time, memory, waiting for data."""
    steps = 20 if setting.quick else 40
    for command in ("pretrain", "finetune"):
        for sensor in setting.sensors:
            out = f"train_{command}_{sensor}"
            _restart_peak(setting.device)
            cli = setting.cli(
                command, sensor, out, "--steps", str(steps), "--trainer.log_every_n_steps", str(max(1, steps // 4)),
                workers=0 if setting.quick else 6,
            )  # fmt: skip
            cli.fit()
            curves = read_curves(setting.scratch / out / "metrics.csv")
            subject, remark = f"{command} {sensor}", f"{cli.datamodule.batch_size} samples, {steps} steps"
            speed = statistics.median(curves["samples_per_second"][1][1:])
            yield Row("training", subject, 1e3 * cli.datamodule.batch_size / speed, "ms a step", None, remark)
            waiting = statistics.mean(curves["data_wait_share"][1][1:])
            yield Row("waiting for data", subject, 100 * waiting, "%", None, remark)
            if setting.device.type == "cuda":
                peak = torch.cuda.max_memory_allocated(setting.device) / 2**30
                yield Row("memory of the GPU", subject, peak, "GiB", None, remark)


def _restart_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class StopAfter(Callback):
    """Ends a training before its time, as a signal would."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: Trainer, *batch: Any) -> None:
        """Ask the trainer to stop."""
        trainer.should_stop = trainer.global_step >= self.steps


def check_cache(setting: Setting) -> Iterator[Row]:
    """Pre-training batches from a packed cache: equal to those of the sensor files, and how many of them a second."""
    batches, workers = (2, 0) if setting.quick else (100, 6)
    for sensor in setting.sensors:
        cache = str(setting.scratch / f"cache_{sensor}")
        source = ["--config", str(setting.configuration("pretrain", sensor)), "--data", str(setting.data)]
        avjepa(["pack", *source, "--version", setting.version, "--out", cache, "--workers", str(max(1, workers))])
        read = []
        for name, more in (("files", ()), ("cache", ("--data.cache", cache))):
            options = ("--steps", str(batches + 1), *more)
            data = setting.cli("pretrain", sensor, f"{name}_{sensor}", *options, workers=workers).datamodule
            data.setup("fit")
            loader = iter(data.train_dataloader())
            read.append(data.transfer_batch_to_device(next(loader), setting.device, 0))
            _wait(setting.device)
            start = time.perf_counter()
            for batch in loader:
                data.transfer_batch_to_device(batch, setting.device, 0)
            _wait(setting.device)
            speed = batches * data.batch_size / (time.perf_counter() - start)
            remark = f"to the device, {workers} workers"
            yield Row(f"samples from the {name}", f"pretrain {sensor}", speed, "samples a second", None, remark)
        equal = _all_equal(*read)
        yield Row("cache equal to the files", f"pretrain {sensor}", float(equal), "1 is equal", equal)


def _all_equal(one: Any, other: Any) -> bool:
    """Whether two batches hold the same, to the bit."""
    tensors: tuple[list[Tensor], list[Tensor]] = ([], [])
    for batch, found in zip((one, other), tensors, strict=True):
        batch.mapped(lambda tensor, found=found: found.append(tensor) or tensor)
    return len(tensors[0]) == len(tensors[1]) and all(map(torch.equal, *tensors))


def check_resume(setting: Setting) -> Iterator[Row]:
    """A run that is stopped half-way and resumed ends with the weights of one that is not."""
    for sensor in setting.sensors:
        straight, broken = f"straight_{sensor}", f"broken_{sensor}"
        more = ("--checkpoint_every", "2", "--trainer.precision", "bf16-mixed", "--trainer.deterministic", "warn")
        setting.cli("pretrain", sensor, straight, "--steps", "4", *more, workers=0).fit()
        again = f"again_{sensor}"
        setting.cli("pretrain", sensor, again, "--steps", "4", *more, workers=0).fit()
        stopped = setting.cli("pretrain", sensor, broken, "--steps", "4", *more, workers=0)
        stopped.trainer.callbacks.insert(0, StopAfter(2))  # type: ignore[attr-defined]
        stopped.fit()
        setting.cli("pretrain", sensor, broken, "--steps", "4", "--ckpt_path", "last", *more, workers=0).fit()
        repeated = _difference(setting.scratch / straight, setting.scratch / again)
        resumed = _difference(setting.scratch / straight, setting.scratch / broken)
        yield Row("the same run again", f"pretrain {sensor}", repeated, "of a weight's range")
        yield Row("resumed run", f"pretrain {sensor}", resumed, "of a weight's range", resumed <= 2 * repeated)


def _difference(one: Path, other: Path) -> float:
    a, b = (
        torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
        for run in (one, other)
    )
    differences = [(a[name].double() - b[name].double()).abs().max() / a[name].double().abs().max().clamp(min=1e-3)
                   for name in a if a[name].numel()]  # fmt: skip
    return float(max(differences))


def check_prediction(setting: Setting) -> Iterator[Row]:
    """The same weights find the same boxes on the GPU and on the CPU."""
    for sensor in setting.sensors:
        out, steps = setting.scratch / f"boxes_{sensor}", "6" if setting.quick else "60"
        setting.cli("finetune", sensor, str(out), "--steps", steps, workers=0 if setting.quick else 6).fit()
        for device in dict.fromkeys(("cpu", setting.device.type)):
            place = setting.scratch / f"{device}_{sensor}"
            accelerator = ("--accelerator", "gpu" if device == "cuda" else "cpu")
            start = time.perf_counter()
            code = avjepa(
                ["evaluate", "--run", str(out), "--out", str(place), "--fast", "true", "--devices", "1", *accelerator]
            )
            yield Row("evaluate", f"{sensor} on {device}", time.perf_counter() - start, "s", not code)
        exact, tried = (_boxes(setting.scratch / f"{device}_{sensor}") for device in ("cpu", setting.device.type))
        found = statistics.mean(_is_among(box, tried[token]) for token in exact for box in exact[token][:20])
        remark = "of the 20 surest of a keyframe: same class, within .1 m and .01 of score"
        yield Row("CPU's boxes found", sensor, 100 * found, "%", found >= 0.95, remark)


def _boxes(run: Path) -> dict[str, list[dict[str, Any]]]:
    """The predictions by keyframe, the surest first."""
    (file,) = run.rglob("predictions.json")
    results = json.loads(file.read_text())["results"]
    return {token: sorted(boxes, key=lambda box: -box["detection_score"]) for token, boxes in results.items()}


def _is_among(box: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    return any(
        box["detection_name"] == other["detection_name"]
        and abs(box["detection_score"] - other["detection_score"]) < 0.01
        and math.dist(box["translation"][:2], other["translation"][:2]) < 0.1
        for other in others
    )


CHECKS = (
    check_parity, check_precision, check_resume, check_training, check_cache, check_prediction, check_triton,
)  # fmt: skip


def run(setting: Setting, only: list[str]) -> list[Row]:
    """All rows; a check that breaks is a row that failed."""
    rows = []
    for check in CHECKS:
        if only and check.__name__.removeprefix("check_") not in only:
            continue
        start = time.perf_counter()
        try:
            for row in check(setting):
                rows.append(row)
                print(*(getattr(row, field.name) for field in fields(Row)), sep=" | ", flush=True)
        except Exception as error:
            traceback.print_exc()
            rows.append(Row(check.__name__, "broke off", float("nan"), "", False, f"{type(error).__name__}: {error}"))
        rows.append(Row("time of the check", check.__name__, time.perf_counter() - start, "s"))
    return rows


def describe(device: torch.device) -> str:
    """Hardware and versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}, sparse convolutions by {backend_for(device.type).name}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"), help="cuda, cuda:N or cpu")
    parser.add_argument("--quick", action="store_true", help="the laptop's configurations and few steps")
    parser.add_argument("--data", type=Path, default=None, help="a nuScenes root; without it a world is made")
    parser.add_argument("--version", default="v1.0-synth", help="name of its folder of tables")
    parser.add_argument("--out", type=Path, default=None, help="a CSV file for the table")
    parser.add_argument(
        "--only", nargs="*", default=[], help="parity, precision, resume, training, cache, prediction, triton"
    )
    parser.add_argument("--sensors", nargs="*", default=SENSORS, choices=SENSORS)
    options = parser.parse_args()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; --device cpu --quick checks what can be checked without one")
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data
        if data is None:
            data = Path(scratch) / "data"
            world = ["--scenes", "4", "--keyframes", "4", "--val_fraction", "0.25"]
            world += ["--image_width", "400" if options.quick else "1600", "--sweep_rate", "20"]
            avjepa(["synth", "--out", str(data), *world])
        setting = Setting(options.device, options.quick, data, options.version, Path(scratch), tuple(options.sensors))
        rows = run(setting, options.only)
    table = Table(*(field.name for field in fields(Row)), title=describe(options.device))
    for row in rows:
        verdict = "" if row.passed is None else "passed" if row.passed else "[red]FAILED"
        table.add_row(row.check, row.subject, f"{row.value:,.4g}", row.unit, verdict, row.remark)
    Console(width=None if Console().is_terminal else 200).print(table)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*(field.name for field in fields(Row)), "hardware"])
            for row in rows:
                cells = [getattr(row, field.name) for field in fields(Row)]
                writer.writerow([*cells[:2], f"{row.value:.6g}", *cells[3:], describe(options.device)])
    return int(any(row.passed is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
