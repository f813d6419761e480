"""Predicting and scoring what a training's configuration describes, for ``finetune`` and ``evaluate``."""

from collections.abc import Iterable
from pathlib import Path

from avjepa.bundle.weights import state_hash
from avjepa.commands.training import TrainingCLI
from avjepa.errors import UserError
from avjepa.evaluate.predict import predict_split
from avjepa.files import read_json, with_final_names, write_json
from avjepa.heads.task import METRICS, ScoredSplit
from avjepa.provenance import FILE_NAME as PROVENANCE

WEIGHTS = "weights"
"""Key of an evaluation's provenance: the hash of the weights that predicted."""


def evaluation_folder(cli: TrainingCLI) -> Path:
    """Where results for the evaluated split lie: apart for a choice of sensors, and for boxes that were detected."""
    split: str = cli.datamodule.eval_split
    shown = cli.datamodule.inputs.sensors()
    left_out = set(cli.config.data.sensors) - set(shown)
    ending = (f"_{'+'.join(shown)}" if left_out else "") + ("_detected" if cli.datamodule.queries else "")
    return cli.out / "evaluation" / f"{split}{ending}"


def holds_results(folder: Path) -> bool:
    """Whether an evaluation left anything in its folder."""
    return folder.is_dir() and any(path.is_file() for path in folder.iterdir())


def require_own_results(cli: TrainingCLI) -> None:
    """Raise if the folder of the evaluation holds results of other weights or of other data.

    The same evaluation may be done again, by the other evaluator say.

    Raises:
        UserError: naming what is other, and the options that keep or replace what is there.
    """
    folder = evaluation_folder(cli)
    if not holds_results(folder):
        return
    try:
        before = read_json(folder / PROVENANCE)
    except (OSError, ValueError):
        before = None
    wanted = {WEIGHTS: state_hash(cli.model), "data": _scored_data(cli)}
    known = before if isinstance(before, dict) else {}
    if other := [name for name, value in wanted.items() if known.get(name) != value]:
        raise UserError(
            f"{folder}: holds results of other {' and '.join(other)}; write elsewhere with --out DIR, or replace them "
            "with --overwrite"
        )


def _scored_data(cli: TrainingCLI) -> dict[str, str]:
    """Fingerprints of what is scored: pseudo-labels belong to the training alone."""
    return {name: value for name, value in cli.provenance()["data"].items() if name != "pseudo_labels"}


def score(cli: TrainingCLI, fast: bool = False) -> None:
    """Predict the evaluated split on the trainer's devices and score it, into ``OUT/evaluation/SPLIT``.

    To be called in every process of the trainer; the first scores what all of them predicted. ``fast`` as in
    ``Scorer.score``.
    """
    data = cli.datamodule
    folder = evaluation_folder(cli)
    made_with = {}
    if cli.trainer.is_global_zero:  # broken annotations are found here, before what lies there is replaced
        made_with = {**cli.provenance(), "data": _scored_data(cli), WEIGHTS: state_hash(cli.model)}

    def begin_anew(files: Iterable[Path]) -> None:
        """What lies there is never of two evaluations, whenever this one is killed."""
        for file in files:
            (file.parent / METRICS).unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        write_json(folder / PROVENANCE, made_with)

    predicted = predict_split(cli.trainer, cli.model, data, folder, begin_anew)
    if cli.trainer.is_global_zero:
        assert data.source is not None  # it was set up to predict
        split = ScoredSplit(data.source, data.eval_split, predicted.without_input)
        for name, file in predicted.files.items():
            metrics = cli.model.tasks[name].scorer().score(file, split, file.parent, fast)
            if metrics is not None:
                print(with_final_names(metrics))
