"""``avjepa evaluate``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from avjepa.commands.parsing import run_function
from avjepa.data.loading.datamodule import DetectionDataModule
from avjepa.errors import UserError
from avjepa.evaluate.detection.scoring import evaluate_detection
from avjepa.evaluate.predict import predict_split
from avjepa.files import write_json
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.heads.task import ScoredSplit


def score(model: FinetuneModule, data: DetectionDataModule, run: Path, provenance: Mapping[str, Any]) -> None:
    """Predict the validation split and score it, into ``RUN/evaluation/SPLIT``."""
    folder = run / "evaluation" / data.eval_split
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    predictions = predict_split(model, data, folder / "predictions.json")
    assert data.source is not None  # it was set up to predict
    evaluate_detection(predictions, ScoredSplit(data.source, data.eval_split), folder)
    write_json(folder / "provenance.json", provenance)
    print(folder / "metrics.json")


def evaluate(
    run: Path,
    data: Path | None = None,
    version: str | None = None,
    split: str | None = None,
    checkpoint: Path | None = None,
    on_bad_file: str | None = None,
) -> None:
    """Score a fine-tuned detector with the official nuScenes evaluation.

    Writes predictions.json in the official format and metrics.json into RUN/evaluation/SPLIT.

    Args:
        run: folder of a finished "avjepa finetune".
        data: root folder of another dataset; the run's own by default.
        version: name of its folder of tables; the run's own by default.
        split: the split to score; the run's validation split by default.
        checkpoint: another checkpoint than the run's last.
        on_bad_file: "stop" or "skip"; as in the run by default.
    """
    from avjepa.commands.finetune import FinetuneCLI
    from avjepa.training.checkpoint_contents import require_same_model
    from avjepa.training.checkpoints import LAST, load_checkpoint
    from avjepa.training.defaults import CHECKPOINTS

    config = run / "config.yaml"
    if not config.is_file():
        raise UserError(f"--run {run}: holds no config.yaml; give the folder of a finished avjepa finetune")
    path = checkpoint or run / CHECKPOINTS / LAST
    content = load_checkpoint(path)
    given = {"--data": data, "--version": version, "--data.eval_split": split, "--on_bad_file": on_bad_file}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    # the weights come from the checkpoint, not from the bundle that the training started from
    arguments = ["--config", str(config), *options, "--model.bundle=null", f"--out={run}"]
    cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, arguments)
    require_same_model(cli.model, content, path)
    cli.model.load_state_dict(content["state_dict"])
    score(cli.model, cli.datamodule, run, cli.provenance())


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("evaluate", evaluate, arguments)
