"""A training looks at held-out labels where the user asks for it, and nowhere else."""

from pathlib import Path

import pytest

from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.training.metrics import read_curves
from tests.commands.small import small
from tests.commands.test_bad_input import refused


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


@pytest.mark.parametrize(
    ("options", "words"),
    [
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
