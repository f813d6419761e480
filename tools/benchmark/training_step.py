"""Time the steps of the small configurations beside an older commit of this project, in turn.

python tools/benchmark/training_step.py [--data DIR --version V] [--kind pretrain finetune] [--sensor lidar camera]

Both run in processes of their own on the same batch, one thread each; while one makes a step, the other waits. Without
--data a synthetic recording is made.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import torch
from comparison import Comparison, add_options, of_rounds, report

from avjepa.synth.dataset.generate import synthesise

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BEFORE = "52a8bb0"
"""The last commit before the work on speed."""


class Steps:
    """A process that makes a step when it is asked to."""

    def __init__(self, tree: Path, kind: str, sensor: str, data: Path, version: str) -> None:
        config = tree / "configs" / kind / f"{sensor}_tiny.yaml"
        command = [sys.executable, str(HERE / "one_step.py"), kind, str(config), str(data.resolve()), version]
        environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def milliseconds(self) -> float:
        """Of one step."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"{' '.join(map(str, self.process.args))}: ended without an answer; run it by hand to see why"
            )
        return 1e3 * float(json.loads(answer)["seconds"])

    def end(self) -> None:
        """Close the process."""
        self.process.communicate()


def compared(kind: str, sensor: str, before: Path, options: argparse.Namespace) -> Comparison:
    """The row of one configuration."""
    ours, peer = (Steps(tree, kind, sensor, options.data, options.version) for tree in (ROOT, before))
    for _ in range(2):
        ours.milliseconds(), peer.milliseconds()
    times = [(ours.milliseconds(), peer.milliseconds()) for _ in range(options.rounds)]
    ours.end(), peer.end()
    name = {"pretrain": "pre-training", "finetune": "fine-tuning"}[kind]
    return of_rounds(f"step of {sensor}_tiny, {name}; peer: commit {options.before}", times, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="a dataset in nuScenes format with all sensors")
    parser.add_argument("--version", default="v1.0-synth", help="name of its folder of tables")
    parser.add_argument("--kind", nargs="+", default=["pretrain", "finetune"], choices=["pretrain", "finetune"])
    parser.add_argument("--sensor", nargs="+", default=["lidar", "camera", "radar"])
    parser.add_argument("--before", default=BEFORE, help="commit that is the peer")
    add_options(parser, rounds=9)
    options = parser.parse_args()
    torch.set_num_threads(1)  # what the hardware is described with
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["git", "archive", options.before, "avjepa", "configs"], cwd=ROOT, check=True, capture_output=True
        )
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        if options.data is None:
            options.data = Path(folder) / "world"
            synthesise(options.data, 3, keyframes=4, image_width=400, sweep_rate=20, val_fraction=0.34, workers=1)
        rows = [compared(kind, sensor, Path(folder), options) for kind in options.kind for sensor in options.sensor]
    report(rows, options.csv)


if __name__ == "__main__":
    main()
