"""The commands as functions: one for each job, equal to the command of its name.

``avjepa.pretrain(config="lidar_tiny", data="DIR", out="RUN")`` does what
``avjepa pretrain lidar_tiny --data DIR --out RUN`` does, in this process: the same checks, files and results. An
option of the command is a keyword argument of the same name; one with dots in its name is given as
``**{"model.learning_rate": 1e-3}``. What a user can mend is a ``UserError``, whose text is the command's one line.
"""

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avjepa.bundle import TRUSTED
from avjepa.cli import run_command
from avjepa.errors import UserError

__all__ = [
    "Run", "UserError", "demo", "evaluate", "finetune", "inspect", "label_efficiency", "pack", "pretrain",
    "pseudo_objects", "reid", "release", "robustness", "run", "synth", "trust", "view",
]  # fmt: skip

PathLike = str | Path


@dataclass(frozen=True)
class Run:
    """The folder of a finished training.

    Args:
        folder: where it lies.
    """

    folder: Path

    @property
    def backbone(self) -> Path:
        """The bundle of its backbone, which ``finetune(bundle=...)`` starts from."""
        return self.folder / "backbone"

    def metrics(self, split: str, task: str | None = None) -> dict[str, Any]:
        """What ``evaluate`` found on a split.

        Args:
            split: its name.
            task: the task, where the run has several.

        Raises:
            UserError: that split was not scored, or the task has no scores of its own.
        """
        path = self.folder / "evaluation" / split / (task or "") / "metrics.json"
        if not path.is_file():
            scored = sorted(str(file.parent.relative_to(self.folder)) for file in self.folder.rglob("metrics.json"))
            raise UserError(f"{path}: is not there; scored are {', '.join(scored) or 'no splits of this run'}")
        content: dict[str, Any] = json.loads(path.read_text())
        return content


def run(command: str, *words: object, **options: object) -> None:
    """Any command of the command line.

    Args:
        command: its name, as in ``"zoo"``.
        words: what stands before the options, such as a subcommand.
        options: by name. ``None`` leaves an option out; lists and mappings are written as YAML.

    Raises:
        UserError: what the command would have said in one line.
    """
    given = [f"--{name}={_text(value)}" for name, value in options.items() if value is not None]
    run_command(command.replace("_", "-"), [*(str(word) for word in words), *given])


def trust(*modules: str) -> None:
    """Import these modules and let bundles and finished runs name their classes, as ``--trust MODULE`` does.

    Args:
        modules: importable names. Without any, avjepa's own classes alone are trusted again.
    """
    from avjepa.bundle.construction import import_trusted  # takes seconds

    os.environ[TRUSTED] = ",".join(modules)
    import_trusted()


def _text(value: object) -> str:
    """A value as the command line has it."""
    if isinstance(value, str | Path):
        return str(value)
    return json.dumps(value, default=str)


def synth(out: PathLike, scenes: int, **options: object) -> Path:
    """Make a synthetic street world in nuScenes format, version ``v1.0-synth``; its root folder."""
    run("synth", out=out, scenes=scenes, **options)
    return Path(out)


def inspect(data: PathLike, **options: object) -> dict[str, Any]:
    """What a data set holds and what is wrong with it, as ``avjepa inspect --json`` says it.

    Raises:
        UserError: something broken stops a training.
    """
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run("inspect", data=data, json=True, **options)
    report: dict[str, Any] = json.loads(said.getvalue())
    return report


def pack(config: PathLike, data: PathLike, out: PathLike, **options: object) -> Path:
    """Write what a training reads into a few large files; their folder, for ``**{"data.cache": ...}``."""
    run("pack", config=config, data=data, out=out, **options)
    return Path(out)


def pseudo_objects(data: PathLike, out: PathLike, **options: object) -> Path:
    """Find boxes of objects without any label; the file, for ``finetune(pseudo_labels=...)``."""
    run("pseudo-objects", data=data, out=out, **options)
    return Path(out)


def pretrain(config: PathLike, data: PathLike, out: PathLike, **options: object) -> Run:
    """Train a backbone without labels.

    Args:
        config: name of a configuration that ships (``avjepa configs list``), or a YAML file.
        data: root of the data set.
        out: folder of the run.
        options: of the command, such as ``version="v1.0-trainval"``, ``steps=1000``, ``seed=1``.
    """
    run("pretrain", config=config, data=data, out=out, **options)
    return Run(Path(out))


def finetune(config: PathLike, data: PathLike, out: PathLike, **options: object) -> Run:
    """Train heads on a backbone, and score them.

    Args:
        config: name of a configuration that ships, or a YAML file.
        data: root of the data set.
        out: folder of the run.
        options: of the command, such as ``bundle=pretrained.backbone``, ``steps=1000``, ``**{"model.mode": "frozen"}``.
    """
    run("finetune", config=config, data=data, out=out, **options)
    return Run(Path(out))


def evaluate(run: PathLike | Run, **options: object) -> None:
    """Predict a split and score every task; ``Run.metrics`` reads the scores.

    Args:
        run: a finished ``finetune``.
        options: of the command, such as ``split="test"``, ``fast=True``.
    """
    _run("evaluate", run=_folder(run), **options)


def robustness(run: PathLike | Run, **options: object) -> None:
    """Score a model with every subset of its sensors, and with degraded ones."""
    _run("robustness", run=_folder(run), **options)


def view(data: PathLike, out: PathLike = "sample.png", **options: object) -> Path:
    """Draw a keyframe; the picture."""
    run("view", data=data, out=out, **options)
    return Path(out)


def label_efficiency(config: PathLike, data: PathLike, out: PathLike, **options: object) -> Path:
    """Score against labels, a grid of methods, label amounts and seeds; the study's folder."""
    run("label-efficiency", config=config, data=data, out=out, **options)
    return Path(out)


def release(subcommand: str, *words: object, **options: object) -> None:
    """``avjepa release SUBCOMMAND``: freeze, train, compare, promote, export and so on.

    Raises:
        RefusedError: the gate stops a release, which is exit code 1 of the command.
    """
    run("release", subcommand, *words, **options)


def reid(subcommand: str, **options: object) -> None:
    """``avjepa reid SUBCOMMAND``: mine, baselines, track, gallery, summary."""
    run("reid", subcommand, **options)


def demo(out: PathLike = "demo", **options: object) -> Path:
    """A release cycle on a small synthetic world; its page."""
    run("demo", out=out, **options)
    return Path(out) / "report.html"


_run = run  # where an argument has its name


def _folder(given: PathLike | Run) -> Path:
    return given.folder if isinstance(given, Run) else Path(given)
