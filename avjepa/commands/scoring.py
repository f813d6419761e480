"""Predicting and scoring what a training's configuration describes, for ``finetune`` and ``evaluate``."""

from avjepa.commands.training import TrainingCLI
from avjepa.evaluate.predict import predict_split
from avjepa.files import write_json
from avjepa.heads.task import ScoredSplit


def score(cli: TrainingCLI, fast: bool = False) -> None:
    """Predict the evaluated split on the trainer's devices and score it, into ``OUT/evaluation/SPLIT``.

    To be called in every process of the trainer; the first scores what all of them predicted. ``fast`` as in
    ``Scorer.score``.
    """
    data = cli.datamodule
    folder = cli.out / "evaluation" / data.eval_split
    predicted = predict_split(cli.trainer, cli.model, data, folder)
    if cli.trainer.is_global_zero:
        assert data.source is not None  # it was set up to predict
        split = ScoredSplit(data.source, data.eval_split, predicted.without_input)
        write_json(folder / "provenance.json", cli.provenance())
        for name, file in predicted.files.items():
            metrics = cli.model.tasks[name].scorer().score(file, split, file.parent, fast)
            if metrics is not None:
                print(metrics)
