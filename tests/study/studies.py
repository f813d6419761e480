"""A study of two methods and a worker that only pretends to train."""

import os
import time
from pathlib import Path
from typing import Any

import torch

from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.study.jobs import Mode, Pretraining, Run, Setting, StudyJob, Trial
from avjepa.study.plan import Method, Study, Tuning
from avjepa.study.store import Store
from avjepa.study.summary import Row
from avjepa.study.worker import Builder, DetectorRun, Worker

MODES: tuple[Mode, ...] = ("frozen", "end_to_end")


def small_study(**changes: Any) -> Study:
    methods = (Method("scratch", (0,), (1, 4), MODES), Method("jepa", (10, 20), (1, 4), MODES))
    tuning = Tuning(1, (Setting(1e-3),), (Setting(1e-3), Setting(5e-3)))
    settings: dict[str, Any] = {
        "methods": methods, "seeds": (0, 1), "pretrain_seeds": (0, 1), "compute_scenes": (1,), **changes
    }  # fmt: skip
    return Study("lidar", total_scenes=8, steps=5, tuning=tuning, **settings)


class NoBuilder(Builder):
    def pretrain(self, job: Pretraining, folder: Path) -> dict[str, Any]:
        raise NotImplementedError

    def keyframes(self, split: str, scenes: int | None = None, seed: int = 0) -> DetectionDataModule:
        raise NotImplementedError

    def detector(
        self, cell: Run, setting: Setting, bundle: Path, features: Path | None, split: str, folder: Path
    ) -> DetectorRun:
        raise NotImplementedError


class PretendingWorker(Worker):
    """Notes what it does in ``folder/done.txt``; a cell's score says which setting it was trained with."""

    def __init__(self, study: Study, store: Store, seconds: float = 0.0, wait: float = 0.02) -> None:
        super().__init__(
            study,
            store,
            NoBuilder(),
            validation="val",
            test="test",
            hardware="none",
            device=torch.device("cpu"),
            tell=lambda line: None,
            wait=wait,
        )
        self.seconds = seconds

    def _trained(self, job: StudyJob, folder: Path) -> dict[str, Any]:
        with (self.store.folder / "done.txt").open("a") as file:
            file.write(f"{job.name} {os.getpid()}\n")
        time.sleep(self.seconds)
        if isinstance(job, Trial):
            return {"mAP": job.setting.learning_rate, "NDS": 0.0}
        if isinstance(job, Run):
            setting = self.chosen_setting(job.backbone.method, job.mode)
            return {"mAP": setting.learning_rate, "NDS": 0.0}
        for file in ("config.json", "model.safetensors"):
            self.bundle(job).mkdir(parents=True, exist_ok=True)
            (self.bundle(job) / file).touch()
        return {}


def done(store: Store) -> list[str]:
    """Names of the jobs that were done, in order."""
    return [line.split()[0] for line in (store.folder / "done.txt").read_text().splitlines()]


def row(method: str, mode: str, scenes: int, seed: int, score: float, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "sensor": "lidar", "method": method, "fraction": scenes / 16, "scenes": scenes, "mode": mode,
        "pretrain_seed": seed, "seed": seed, "pretrain_steps": 0 if method == "scratch" else 20, "steps": 5,
        "mAP": score, "NDS": score / 2, "hardware": "none",
    }  # fmt: skip
    return Row(**(values | changes))


def grid(method: str, mode: str, scores: dict[int, float], spread: float = 0.01, **changes: object) -> list[Row]:
    """Three seeds about each score."""
    return [
        row(method, mode, scenes, seed, score + shift * spread, **changes)
        for scenes, score in scores.items()
        for seed, shift in enumerate((-1, 0, 1))
    ]
