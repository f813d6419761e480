"""What a study's jobs do: train backbones and detectors, and score these."""

import contextlib
import shutil
import statistics
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from avjepa.bundle.files import is_bundle
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.encoders.bundled import load_encoder
from avjepa.errors import UserError, counted
from avjepa.evaluate.detection.fast import OWN_EVALUATOR, FastDetectionEval
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.predict import predict_split
from avjepa.features.keyframes import keyframe_loader
from avjepa.finetune.kept_maps import KeptMaps
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.study.jobs import Mode, Pretraining, Run, Setting, StudyJob, Trial, backbone_of
from avjepa.study.last_loss import LastLoss
from avjepa.study.plan import Study
from avjepa.study.probes import backbone_measures
from avjepa.study.runner import Job, Runner, duration
from avjepa.study.store import Store
from avjepa.study.tuning import best_setting, trial_scores
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS

BUNDLE = "backbone"


@dataclass(frozen=True)
class DetectorRun:
    """A fine-tuning that is ready to start."""

    module: FinetuneModule
    data: DetectionDataModule
    trainer: Trainer
    last_loss: LastLoss
    """One of the trainer's callbacks."""
    maps: KeptMaps | None
    """Those of a frozen backbone."""


class Builder(ABC):
    """Makes what a study trains. Objects come from outside: nothing here knows of configuration files."""

    @abstractmethod
    def pretrain(self, job: Pretraining, folder: Path) -> dict[str, Any]:
        """Pre-train, or resume what an interrupted worker left in ``folder``, and write the bundle ``folder/backbone``.

        Returns:
            Measures worth a place in the outcome.
        """

    @abstractmethod
    def keyframes(self, split: str, scenes: int | None = None, seed: int = 0) -> DetectionDataModule:
        """The detectors' data without a detector: the labels of so many scenes, predicting ``split``; set up."""

    @abstractmethod
    def detector(
        self,
        cell: Run,
        setting: Setting,
        bundle: Path,
        features: Path | None,
        split: str,
        folder: Path,
        taught: Path | None = None,
    ) -> DetectorRun:
        """A fine-tuning of the cell that starts from a bundle and predicts ``split``.

        With labels of the cell's scenes alone, whatever is made of them, and a teacher's boxes on the others: the file
        ``taught``. Checkpoints go to ``folder/checkpoints``; maps of a frozen backbone are kept in the folder
        ``features``.
        """


class Worker(Runner[StudyJob]):
    """Does the jobs of a study that nobody else does.

    Args:
        study: what there is to do.
        store: the study's folder of outcomes.
        builder: makes the trainings.
        validation: split on which settings are chosen.
        test: split on which cells are scored.
        hardware: in one line, for the table.
        device: of everything.
        tell: takes one line to the user.
        wait: seconds between two looks for a job that others have to make possible.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        builder: Builder,
        *,
        validation: str,
        test: str,
        hardware: str,
        device: torch.device,
        tell: Callable[[str], None],
        wait: float = 5.0,
    ) -> None:
        jobs = [Job(job.name, job, tuple(need.name for need in study.needs(job))) for job in study.jobs()]
        super().__init__(jobs, store, tell, wait)
        self.study, self.builder = study, builder
        self.validation, self.test, self.hardware, self.device = validation, test, hardware, device
        self._held: Pretraining | None = None
        self._scorers: dict[str, FastDetectionEval] = {}

    def run(self) -> None:
        """See ``Runner``. What others need and is not there, although it was made, is made again.

        Such as the boxes of a detector that became a teacher after it had been scored, which were not kept, and a
        backbone whose folder was deleted.
        """
        for run in self.study.runs():
            if self.study.is_teacher(run) and not self._taught(run).is_file():
                self.store.forget(run.name)
        done = self.store.finished() | self.store.failed()
        needed = {need for name, job in self.jobs.items() if name not in done for need in job.needs}
        for name in needed:
            if isinstance(backbone := self.jobs[name].task, Pretraining) and not is_bundle(self.bundle(backbone)):
                self.store.forget(name)
        super().run()
        self._held = None

    def order(self, ready: Sequence[str], running: Sequence[str]) -> list[str]:
        """Features of a frozen backbone are computed once by a worker that keeps to it, while others do other ones."""
        busy = {backbone_of(self.jobs[name].task) for name in running}

        def cost(name: str) -> tuple[bool, bool]:
            backbone = backbone_of(self.jobs[name].task)
            return backbone != self._held, backbone in busy

        return sorted(ready, key=cost)

    def keeps(self, job: Job[StudyJob]) -> bool:
        """The backbones, and boxes that others learn from."""
        return isinstance(job.task, Pretraining) or self._teaches(job.task)

    def _teaches(self, job: StudyJob) -> bool:
        return isinstance(job, Run) and self.study.is_teacher(job)

    def do(self, job: Job[StudyJob], folder: Path) -> dict[str, Any]:
        """Train, and score what is a detector."""
        folder.mkdir(parents=True, exist_ok=True)
        # what trainings say goes into a file: many of them would drown the progress of the study
        with (folder / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
            return {**self._trained(job.task, folder), "hardware": self.hardware}

    def _trained(self, job: StudyJob, folder: Path) -> dict[str, Any]:
        match job:
            case Pretraining():
                return self._pretrained(job, folder)
            case Trial():
                return self._scored(job.cell, job.setting, self.validation, folder)
            case Run():
                return self._scored(job, self.chosen_setting(job.backbone.method, job.mode), self.test, folder)

    def _pretrained(self, job: Pretraining, folder: Path) -> dict[str, Any]:
        started = time.monotonic()
        measures = self.builder.pretrain(job, folder)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        outcome = {"method": job.method, "pretrain_seed": job.seed, "pretrain_steps": job.steps, **measures}
        outcome.setdefault("pretrain_seconds", round(time.monotonic() - started, 2))
        data = self.builder.keyframes(self.validation)
        assert data.source is not None
        encoder = load_encoder(folder / BUNDLE).to(self.device)
        return outcome | backbone_measures(encoder, keyframe_loader(data, data.source.scenes_of(self.validation)))

    def bundle(self, backbone: Pretraining) -> Path:
        """Where a backbone lies."""
        return self.store.folder / "work" / backbone.name / BUNDLE

    def chosen_setting(self, method: str, mode: Mode) -> Setting:
        """The setting with the best mean score on the validation split; of equal ones the first.

        Raises:
            UserError: a trial has not been made.
        """
        trials = self.study.trials(method, mode)
        if not trials:
            return self.study.tuning.settings(mode)[0]
        scores = trial_scores(trials, self.store)
        if missing := next((trial for trial in trials if trial not in scores), None):
            raise UserError(f"{missing.name}: not done, so no setting can be chosen for {method}")
        return best_setting(scores)

    def _scored(self, cell: Run, setting: Setting, split: str, folder: Path) -> dict[str, Any]:
        features = self._feature_folder(cell.backbone) if cell.mode == "frozen" else None
        teacher = self.study.teacher_of(cell)
        taught = None if teacher is None else self._taught(teacher)
        run = self.builder.detector(cell, setting, self.bundle(cell.backbone), features, split, folder, taught)
        if run.maps is not None:
            self._held = cell.backbone
            run.maps.of_training()
            run.maps.of_split(split)
        last = folder / CHECKPOINTS / LAST
        checkpoint = str(last) if last.is_file() else None
        try:
            run.trainer.fit(run.module, run.data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from stop
        predictions = predict_split(run.trainer, run.module, run.data, folder).files["detection"]
        scores = self._scorer(run.data, split).evaluate(read_result_file(predictions, run.data.taxonomy))
        if split == self.test and self._teaches(cell):
            self._predict_training_scenes(run, cell)
        labelled = set(run.data.annotated_scenes())
        return {
            "sensor": self.study.sensor,
            "method": cell.method,
            "fraction": cell.scenes / self.study.total_scenes,
            "scenes": cell.scenes,
            "mode": cell.mode,
            "pretrain_seed": cell.backbone.seed,
            "seed": cell.seed,
            "pretrain_steps": cell.backbone.steps,
            "steps": run.trainer.global_step,
            "mAP": scores.mean_ap,
            "NDS": scores.nd_score,
            "class_AP": scores.class_ap,
            "evaluator": OWN_EVALUATOR,
            "split": split,
            "scene_names": sorted(labelled),
            "pseudo_labelled_scene_names": sorted(set(run.data.train_scenes()) - labelled),
            "setting": setting.definition(),
            "final_loss": run.last_loss.value,
        }

    def _predict_training_scenes(self, run: DetectorRun, cell: Run) -> None:
        """Write the boxes that others learn from, and leave nothing else of the training."""
        run.data.eval_split = run.data.train_split
        if run.maps is not None:
            run.maps.of_split(run.data.train_split)
        folder = self._taught(cell).parent
        predict_split(run.trainer, run.module, run.data, folder)
        shutil.rmtree(folder.parent / CHECKPOINTS, ignore_errors=True)

    def _taught(self, teacher: Run) -> Path:
        """The file of a teacher's boxes on the training scenes."""
        return self.store.folder / "work" / teacher.name / "train" / "predictions.json"

    def _scorer(self, data: DetectionDataModule, split: str) -> FastDetectionEval:
        if split not in self._scorers:
            assert data.source is not None  # it was set up to predict
            annotated = data.source.annotated_keyframes(data.source.scenes_of(split))
            truth = GroundTruth.of(annotated, data.taxonomy)
            self._scorers[split] = FastDetectionEval(truth, data.taxonomy)
        return self._scorers[split]

    def done(self, name: str, outcome: dict[str, Any]) -> None:
        """With the scores of a detector, and how much is left."""
        taken = duration(outcome["seconds"])
        scores = f"mAP {100 * outcome['mAP']:.1f} NDS {100 * outcome['NDS']:.1f} " if "mAP" in outcome else ""
        self.tell(f"{name} {scores}in {taken}; {self.progress()}")
        self._drop_features(backbone_of(self.jobs[name].task))

    def _drop_features(self, backbone: Pretraining) -> None:
        """Delete a backbone's maps once no job needs them: they are large, and can be computed again."""
        finished = self.store.finished()
        left = (job.task for name, job in self.jobs.items() if name not in finished)
        if not any(backbone_of(job) == backbone and not isinstance(job, Pretraining) for job in left):
            folder = self._feature_folder(backbone)
            for kept in (folder, *folder.parent.glob(f"{folder.name}+*")):  # and those of means with other inputs
                shutil.rmtree(kept, ignore_errors=True)
            self._held = None if self._held == backbone else self._held

    def _feature_folder(self, backbone: Pretraining) -> Path:
        return self.store.folder / "features" / backbone.name.removeprefix("pretrain-")

    def progress(self) -> str:
        """How much is done, and an estimate of what remains from the jobs of each kind that are done."""
        finished = self.store.finished() & self.jobs.keys()
        rates = defaultdict(list)
        for name in finished:
            outcome = self.store.outcome(name)
            if outcome is not None:
                job = self.jobs[name].task
                rates[_kind(job)].append(outcome["seconds"] / _size(job, self.study))
        left = [job.task for name, job in self.jobs.items() if name not in finished]
        known = [job for job in left if _kind(job) in rates]
        workers = max(1, len({name for name in self.store.running() if name in self.jobs}))
        seconds = sum(statistics.median(rates[_kind(job)]) * _size(job, self.study) for job in known) / workers
        remaining = duration(seconds) if len(known) == len(left) else f"more than {duration(seconds)}"
        return (
            f"{len(finished)} of {counted(len(self.jobs), 'job')} done, {remaining} to go" if left else "all jobs done"
        )


def _kind(job: StudyJob) -> tuple[str, ...]:
    """Jobs of one kind take a time in proportion to their size."""
    match job:
        case Pretraining():
            return ("pretrain", job.method if job.steps else "")
        case Trial():
            return ("detector", job.cell.mode)
        case Run():
            return ("detector", job.mode)


def _size(job: StudyJob, study: Study) -> int:
    match job:
        case Pretraining():
            return max(1, job.steps)
        case Run():
            return job.steps or study.steps
        case Trial():
            return study.steps
