"""Give the commands spoilt input of many kinds, and count what they make of it.

    python tools/fuzz.py                           1,000 cases, at most 15 minutes on one core
    python tools/fuzz.py --only records-17         one of them again, with all that it said
    python tools/fuzz.py --kinds clouds,images --cases 50 --seed 3

Every case spoils its own copy of a small synthetic world and runs the commands that read it. Right answers are to work,
or to refuse in one line that names what is wrong. The exit code is 1 if there was another answer.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzzing import configuration_kinds, dataset_kinds, network_kinds, pack_kinds, result_kinds, run_kinds, sensor_kinds
from fuzzing.judge import GOOD, VERDICTS, Outcome, results_of, run, verdict
from fuzzing.trial import Kind, Trial
from fuzzing.world import World

KINDS: dict[str, tuple[Kind, int]] = {
    "tables": (dataset_kinds.tables, 16),
    "records": (dataset_kinds.records, 26),
    "splits": (dataset_kinds.splits, 3),
    "caches": (dataset_kinds.caches, 3),
    "paths": (dataset_kinds.paths, 2),
    "outputs": (dataset_kinds.outputs, 1),
    "packs": (pack_kinds.packs, 5),
    "clouds": (sensor_kinds.clouds, 8),
    "images": (sensor_kinds.images, 6),
    "results": (result_kinds.results, 6),
    "segmentations": (result_kinds.segmentations, 2),
    "embeddings": (result_kinds.embeddings, 2),
    "tracking": (result_kinds.tracking, 2),
    "reid_tables": (result_kinds.reid_tables, 2),
    "manifests": (network_kinds.manifests, 6),
    "weights": (network_kinds.weights, 4),
    "checkpoints": (network_kinds.checkpoints, 4),
    "runs": (run_kinds.runs, 4),
    "options": (configuration_kinds.options, 5),
    "configurations": (configuration_kinds.configurations, 4),
    "studies": (configuration_kinds.studies, 4),
}
"""Kinds of input by name, each with its share of the cases in per cent."""
LIMIT = 40.0
"""Seconds after which a command hangs."""


def imported() -> None:
    """Import what the commands do, once, before the cases are forked off."""
    commands = ("evaluate", "finetune", "inspect", "label_efficiency", "pack", "pretrain", "reid", "robustness", "view")
    lazily = (
        "avjepa.data.packed.packing",
        "avjepa.report.sample_figure",
        "avjepa.report.scores",
        "nuscenes.nuscenes",
        "nuscenes.eval.detection.evaluate",
    )
    for name in (*lazily, *(f"avjepa.commands.{command}" for command in commands)):
        importlib.import_module(name)


def made(root: Path) -> World:
    """The world that the cases spoil, made by the commands themselves."""
    root.mkdir()
    world = World(root)
    for command in (
        world.synth(),
        world.pack(),
        world.pretrain(out=world.pretrained),
        world.finetune(out=world.finetuned),
    ):
        outcome = run(command, world, limit=300)
        if outcome.code != 0:
            raise SystemExit(f"the world cannot be made: avjepa {' '.join(command)}\n{outcome.stderr}")
    return world


def cases(kinds: list[str], number: int) -> list[str]:
    """Names of so many cases, kinds in the proportion of their shares, at least one of each."""
    total = sum(KINDS[kind][1] for kind in kinds)
    return [f"{kind}-{n}" for kind in kinds for n in range(max(1, round(number * KINDS[kind][1] / total)))]


def tried(case: str, seed: int, world: World, folder: Path) -> tuple[Trial, list[tuple[str, Outcome]]]:
    """Spoil a copy of the world for a case and run its commands: what was done, and verdicts with outcomes."""
    kind, _ = KINDS[case.rsplit("-", 1)[0]]
    copy = world.copied(folder / case)
    answers = []
    try:
        trial = kind(Random(f"{seed}/{case}"), copy)
        for command in trial.commands:
            before = results_of(copy)
            outcome = run(command, copy, LIMIT)
            answers.append((verdict(trial, outcome, copy, before), outcome))
    finally:
        shutil.rmtree(copy.root)
    return trial, answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of: %(default)s")
    parser.add_argument("--only", metavar="CASE", help="one case, with all that its commands said")
    options = parser.parse_args()
    started = time.monotonic()
    imported()
    kinds = options.kinds.split(",")
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        world = made(Path(folder) / "world")
        for case in [options.only] if options.only else cases(kinds, options.cases):
            trial, answers = tried(case, options.seed, world, Path(folder))
            for answer, outcome in answers:
                counts.setdefault(case.rsplit("-", 1)[0], Counter())[answer] += 1
                failures += answer not in GOOD
                if options.only or answer not in GOOD:
                    reason = ([line for line in outcome.stderr.splitlines() if line.strip()] or [""])[-1]
                    print(f"{case}: {outcome.command}: {answer}: {trial.change}: {reason[:300]}", flush=True)
                if options.only:
                    print(f"exit code {outcome.code}, {outcome.seconds:.1f} s\n{outcome.stdout}\n{outcome.stderr}")
    width = max(map(len, counts))
    print(" " * width, *(f"{name:>12}" for name in VERDICTS))
    for kind, counter in counts.items():
        print(f"{kind:<{width}}", *(f"{counter[name] or '·':>12}" for name in VERDICTS))
    total = sum(map(Counter.total, counts.values()))
    print(f"{total} commands, {failures} bad answers, {time.monotonic() - started:.0f} s (seed {options.seed})")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
