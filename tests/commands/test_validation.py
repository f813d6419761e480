"""A training looks at held-out labels where the user asks for it, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest

from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.sample import Batch
from avjepa.evaluate.detection.scores import ERRORS, DetectionScores
from avjepa.evaluate.detection.scoring import own_scores
from avjepa.heads.task import ScoredSplit
from avjepa.model.perception_model import PerceptionModel
from avjepa.training.metrics import read_curves
from tests.commands.small import small
from tests.commands.test_bad_input import refused
from tests.commands.test_label_efficiency import FINETUNE


def scenes_with_opened_labels(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Receives the scene of every moment whose labels are read."""
    seen: set[int] = set()
    labels = AnnotationIndex.labels

    def noted(self: AnnotationIndex, moment: int):
        seen.add(self._index.scene_of(int(self._index.moment_record[moment])))
        return labels(self, moment)

    monkeypatch.setattr(AnnotationIndex, "labels", noted)
    return seen


def test_no_label_of_another_split_is_read_unasked(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = scenes_with_opened_labels(monkeypatch)
    assert small("finetune", tiny, tmp_path / "run", "--steps", 2) == 0
    assert seen == {0}, "the training scene alone"
    logged = read_curves(tmp_path / "run" / "metrics.csv")
    assert "train/loss" in logged and not [name for name in logged if name.startswith("val/")]


def test_a_validation_that_is_asked_for_is_logged_every_so_many_steps(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = scenes_with_opened_labels(monkeypatch)
    options = ("--validate-every", 2, "--data.validation_split", "val", "--data.eval_split", "train")
    accumulated = ("--trainer.accumulate_grad_batches", 2)
    assert small("finetune", tiny, tmp_path / "run", "--steps", 4, *options, *accumulated) == 0
    assert seen == {0, 1}
    steps, losses = read_curves(tmp_path / "run" / "metrics.csv")["val/loss"]
    assert steps == [1, 3], "after two and four optimiser steps, counted from 0"
    assert all(loss > 0 for loss in losses)
    said = [line for line in capfd.readouterr().err.splitlines() if ": validation loss" in line]
    assert said == [
        f"avjepa: step {step}: validation loss {loss:.4g}" for step, loss in zip((2, 4), losses, strict=True)
    ]


def test_scores_of_a_validation_are_those_of_an_evaluation(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last step the same boxes go into both, from one pass through the network a batch of a validation."""
    scored: list[tuple[dict[str, Any], DetectionScores | None]] = []
    passes: list[bool] = []
    mapped = PerceptionModel.backbone_map

    def noted(predictions: Path, split: ScoredSplit) -> DetectionScores | None:
        scored.append((json.loads(predictions.read_text()), own_scores(predictions, split)))
        return DetectionScores.of_classes({"car": {"2": len(scored) / 8}}, {"car": dict.fromkeys(ERRORS, 0.5)})

    def counted(self: PerceptionModel, batch: Batch):
        passes.append(self.training)
        return mapped(self, batch)

    monkeypatch.setattr("avjepa.evaluate.detection.task.own_scores", noted)
    monkeypatch.setattr(PerceptionModel, "backbone_map", counted)
    run = tmp_path / "run"
    options = ("--validate_every", 2, "--data.validation_split", "val", "--score_validation", True)
    assert small("finetune", tiny, run, "--steps", 4, *options, "--evaluate", True) == 0
    curves = read_curves(run / "metrics.csv")
    assert curves["val/detection/mAP"] == ([1, 3], [1 / 8, 2 / 8])
    assert curves["val/detection/NDS"] == ([1, 3], pytest.approx([0.25 + 1 / 16, 0.25 + 2 / 16]))
    assert curves["val/loss"][0] == [1, 3]
    content = json.loads((run / "evaluation" / "val" / "predictions.json").read_text())
    last, scores = scored[1]
    assert any(last["results"].values())
    assert last == content
    metrics = json.loads((run / "evaluation" / "val" / "metrics.json").read_text())
    assert scores is not None and scores.mean_ap == pytest.approx(metrics["mean_ap"], abs=1e-9)
    assert passes.count(True) == 4
    assert passes.count(False) == 3 * -(-len(content["results"]) // FINETUNE["data"]["batch_size"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--score_validation", True], ["--score_validation", "--validate_every N", "--data.validation_split NAME"]),
        (["--validate_every", 1], ["--data.validation_split"]),
        (["--data.validation_split", "val"], ["--validate_every"]),
        (["--validate_every", 3, "--data.validation_split", "val"], ["--validate_every 3", "2"]),
        (["--validate_every", 0, "--data.validation_split", "val"], ["--validate_every 0"]),
        (["--validate_every", 1, "--data.validation_split", "nope"], ["'nope'", "train, val"]),
        (["--trainer.val_check_interval", 1], ["trainer.val_check_interval", "--validate_every"]),
        (["--trainer.num_sanity_val_steps", 2], ["trainer.num_sanity_val_steps", "--validate_every"]),
    ],
)
def test_what_cannot_be_validated_is_refused(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[object], words: list[str]
) -> None:
    refused(capfd, small("finetune", tiny, tmp_path / "run", "--steps", 2, *options), *words)


def test_a_split_that_cannot_be_evaluated_is_refused_before_the_training(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / "v1.0-tiny" / "splits.json").write_text('{"train": ["scene-0000"]}')
    code = small("finetune", copy, tmp_path / "run", "--steps", 1, "--evaluate", "true")
    refused(capfd, code, "'val'", "--data.eval_split", "--evaluate false")
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert small("finetune", copy, tmp_path / "run", "--steps", 1) == 0
