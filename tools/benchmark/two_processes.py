"""Time a step of lidar_tiny on two processes beside the same batch on one: what splitting it gains, gloo included.

python tools/benchmark/two_processes.py [--data DIR --version V] [--kind pretrain finetune]

Both are whole trainings by the command, one thread a process, each process loading its own samples. Needs two free
cores. Without --data a synthetic recording is made.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from comparison import add_options, of_rounds, report

from avjepa.synth.dataset.generate import VERSION, synthesise
from avjepa.training.metrics import read_curves

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
KINDS = {"pretrain": ("pre-training", []), "finetune": ("fine-tuning", ["--evaluate", "false"])}


def milliseconds_a_step(kind: str, processes: int, options: argparse.Namespace) -> float:
    """The median over a training with ``BATCH`` samples a step, the first of its rows left out."""
    config = ROOT / "configs" / kind / "lidar_tiny.yaml"
    with tempfile.TemporaryDirectory() as out:
        data = ["--data", str(options.data), "--version", options.version, "--data.workers", "0"]
        size = ["--data.batch_size", str(BATCH // processes), "--trainer.devices", str(processes)]
        length = ["--steps", str(options.steps), "--trainer.accelerator", "cpu"]
        command = [sys.executable, "-m", "avjepa.cli", kind, "--config", str(config), "--out", out, *KINDS[kind][1]]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, *data, *size, *length], env=environment, check=True)
        speeds = read_curves(Path(out) / "metrics.csv")["samples_per_second"][1][1:]
    return 1e3 * BATCH / statistics.median(speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="a dataset in nuScenes format")
    parser.add_argument("--version", default=VERSION, help="name of its folder of tables")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--steps", type=int, default=40, help="of each training, at least 20")
    add_options(parser, rounds=3)
    options = parser.parse_args()
    torch.set_num_threads(1)  # what the hardware is described with
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            options.data = Path(folder) / "world"
            synthesise(options.data, 3, keyframes=4, image_width=160, sweep_rate=10, val_fraction=0.34, workers=1)
        rows = []
        for kind in options.kind:
            times = [
                (milliseconds_a_step(kind, 2, options), milliseconds_a_step(kind, 1, options))
                for _ in range(options.rounds)
            ]
            work = f"step of lidar_tiny, {KINDS[kind][0]}, {BATCH} samples on two processes with gloo; one process"
            rows.append(of_rounds(work, times, "ms"))
    report(rows, options.csv)


if __name__ == "__main__":
    main()
