"""``avjepa robustness``."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.bundle.weights import state_hash
from avjepa.commands.evaluate import finished_run
from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.parsing import run_function
from avjepa.commands.scoring import WEIGHTS
from avjepa.errors import UserError
from avjepa.evaluate.predict import predict_split
from avjepa.evaluate.robustness.conditions import Condition, beams_of, conditions, unmeasurable
from avjepa.evaluate.robustness.results import TABLE, merged, read_table, rows_of, write_results, write_table
from avjepa.files import read_json, write_json
from avjepa.heads.task import ScoredSplit
from avjepa.progress import with_bar
from avjepa.ranges import require_number
from avjepa.training.console import status

FIGURES = "figures.json"


def robustness(
    run: Path,
    data: Path | None = None,
    version: str | None = None,
    split: str | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    model: str | None = None,
    subsets_only: bool = False,
    accelerator: str = "auto",
    devices: str = "auto",
    out: Path | None = None,
    publish: Path | None = None,
) -> None:
    """Score a fine-tuned model with every subset of its sensors, and with each of them degraded.

    Degradations: cameras dead, dark, blurred; LiDAR with fewer beams or ahead alone; the front radar alone; each sensor
    100 ms late, where the data have records between keyframes; calibration off by a degree and 10 cm.

    Scored by avjepa's own evaluator, with the devkit's numbers. Writes robustness.csv, robustness.md and robustness.png
    into OUT/robustness/SPLIT, a row for each task where two have the same score; interrupted, the same command goes on.

    Args:
        run: folder of a finished "avjepa finetune".
        data: root folder of another dataset; the run's own by default.
        version: name of its folder of tables; the run's own by default.
        split: the split to score; the run's eval_split by default.
        checkpoint: another checkpoint than the run's last.
        seed: of what is drawn at random in the degradations.
        model: what the table calls the model; the name of the run's folder by default.
        subsets_only: leave the degradations out.
        accelerator: "cpu", "gpu" or what else Lightning knows; what there is by default.
        devices: how many, or which as in "0,2"; all there are by default.
        out: folder for the results; the run's own by default.
        publish: folder whose robustness.csv gets the rows too.
    """
    require_number("--seed", seed, at_least=0)
    name = model or run.resolve().name
    if not name.isprintable():
        raise UserError(f"--model {name!r}: cannot stand in a table; give a name of one line in UTF-8")
    published = [] if publish is None else read_table(publish / TABLE)  # a bad one is an error now
    changes = {"dataroot": data, "version": version, "eval_split": split}
    trainer = {"accelerator": accelerator, "devices": devices}
    cli = finished_run(run, changes, None, checkpoint, trainer, out)
    folder = cli.out / "robustness" / cli.datamodule.eval_split
    source, sensors = cli.datamodule.open(), cli.sensors()
    whole, skipped, rows = cli.datamodule.inputs, [], []
    if publish is not None:
        publish.mkdir(parents=True, exist_ok=True)  # one that cannot be is an error now
    with cli.folder_held():
        made_with = {**cli.provenance(), WEIGHTS: state_hash(cli.model), "seed": seed}
        measured = conditions(sensors, source.channels, beams_of(source) if "lidar" in sensors else 0)
        if subsets_only:
            measured = [condition for condition in measured if condition.degradation is None]
        for condition in with_bar(measured, "conditions") if cli.trainer.is_global_zero else measured:
            if reason := unmeasurable(condition, source):
                skipped.append(f"{condition.name} ({reason})")
                status(f"{condition.name}: {reason}")
                continue
            cli.datamodule.inputs = whole
            cli.datamodule.show(condition.sensors, condition.degradation, seed)
            figures = _figures(cli, condition, folder / condition.folder, made_with)
            rows += rows_of(name, condition.letters, condition.name, seed, figures)
    if not cli.trainer.is_global_zero:
        return
    if not rows:
        tasks = ", ".join(cli.model.tasks)
        raise UserError(
            f"{source.name}: nothing to score {tasks} by in {cli.datamodule.eval_split}, which has no annotations, or "
            "the tasks no mAP, NDS or IoU; choose another --split or --run"
        )
    options = [
        f"--split {cli.datamodule.eval_split}",
        f"--seed {seed}",
        *(["--subsets_only true"] if subsets_only else []),
    ]
    given = {"--data": data, "--version": version, "--checkpoint": checkpoint, "--model": model}
    options += [f"{option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None]
    command = " ".join(["avjepa robustness --run", shlex.quote(str(run)), *options])
    page = write_results(folder, rows, command, skipped)
    if publish is not None:
        write_table(publish / TABLE, merged(published, rows))
    print(page)


def _figures(
    cli: FinetuneCLI, condition: Condition, folder: Path, made_with: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """The main scores of every task under a condition, from an earlier run of the same model where there are any."""
    key = json.loads(json.dumps({name: made_with[name] for name in (WEIGHTS, "data", "seed")}))
    key["degradation"] = repr(condition.degradation)
    if (kept := _kept(folder / FIGURES, key)) is not None:
        return kept
    predicted = predict_split(cli.trainer, cli.model, cli.datamodule, folder)
    figures: dict[str, dict[str, float]] = {}
    if cli.trainer.is_global_zero:
        split = ScoredSplit(cli.datamodule.source, cli.datamodule.eval_split, predicted.without_input)
        for task, file in predicted.files.items():
            figures[task] = cli.model.tasks[task].scorer().figures(file, split)
            file.unlink()
        write_json(folder / FIGURES, {"made_with": key, "figures": figures})
        several = len(figures) > 1
        shown = [
            f"{f'{task} ' if several else ''}{name} {100 * value:.1f}"
            for task, own in figures.items()
            for name, value in own.items()
        ]
        status(f"{condition.letters}, {condition.name}: {', '.join(shown)}")
    return figures


def _kept(path: Path, key: Mapping[str, Any]) -> dict[str, dict[str, float]] | None:
    """The figures of an earlier run; ``None`` where there are none, or of another model, or no longer readable."""
    try:
        kept = read_json(path)
        if kept["made_with"] != key:
            return None
        return {task: {name: float(value) for name, value in own.items()} for task, own in kept["figures"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("robustness", robustness, arguments)
