"""What the demo consists of: one synthetic world; per sensor one pre-training and two equal fine-tunings; one
model of all sensors, for detection and re-identification."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avjepa.commands.configurations import load_config, merged
from avjepa.study.runner import Job

SENSORS = ("lidar", "camera", "radar")
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
VERSION = "v1.0-synth"

SCENES, KEYFRAMES = 30, 8
LABELLED_SCENES = 8
PRETRAIN_STEPS = {"lidar": 120, "camera": 80, "radar": 120}
FINETUNE_STEPS = 150
METHODS = ("jepa", "scratch")


@dataclass(frozen=True)
class DemoTask(ABC):
    """Something that one of the package's commands does, with plain values for its options."""

    @abstractmethod
    def run(self, slot: int) -> None:
        """Do it, or go on where it was interrupted; on the device of a slot."""


@dataclass(frozen=True)
class SynthTask(DemoTask):
    """``avjepa synth``."""

    out: str
    scenes: int
    keyframes: int
    seed: int

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.synth.dataset.generate import synthesise

        synthesise(Path(self.out), self.scenes, self.seed, keyframes=self.keyframes, show_progress=False)


@dataclass(frozen=True)
class PretrainTask(DemoTask):
    """``avjepa pretrain`` of a configuration."""

    configuration: dict[str, Any]

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.pretrain import run

        run(_on_one_device(self.configuration, slot))


@dataclass(frozen=True)
class FinetuneTask(DemoTask):
    """``avjepa finetune`` of a configuration."""

    configuration: dict[str, Any]

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.finetune import run

        run(_on_one_device(self.configuration, slot))


@dataclass(frozen=True)
class SubsetsTask(DemoTask):
    """``avjepa robustness`` without degradations."""

    folder: str

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.robustness import robustness
        from avjepa.training.devices import device_of_slot, trainer_options

        options = trainer_options(device_of_slot(slot))
        devices = options["devices"]
        chosen = ",".join(map(str, devices)) if isinstance(devices, list) else str(devices)
        robustness(Path(self.folder), subsets_only=True, accelerator=options["accelerator"], devices=chosen)


def _on_one_device(configuration: dict[str, Any], slot: int) -> dict[str, Any]:
    from avjepa.training.devices import device_of_slot, trainer_options

    changed: dict[str, Any] = merged(configuration, {"trainer": trainer_options(device_of_slot(slot))})
    return changed


def demo_jobs(out: Path, seed: int, sensors: Sequence[str]) -> list[Job[DemoTask]]:
    """The jobs of the demo, in an order in which what others need comes first."""
    jobs: list[Job[DemoTask]] = [Job("synth", SynthTask(str(out / "data"), SCENES, KEYFRAMES, seed))]
    for sensor in sensors:
        changes = _changes(out, seed, pretrain_folder(out, sensor), PRETRAIN_STEPS[sensor])
        configuration = merged(load_config(CONFIGS / "pretrain" / f"{sensor}_tiny.yaml"), changes)
        jobs.append(Job(f"pretrain-{sensor}", PretrainTask(configuration), needs=("synth",)))
    for sensor in sensors:
        for method in METHODS:
            changes = _changes(out, seed, finetune_folder(out, sensor, method), FINETUNE_STEPS)
            changes["data"]["scenes"] = LABELLED_SCENES
            needs: tuple[str, ...] = ("synth",)
            if method == "jepa":
                changes["model"] = {"bundle": str(pretrain_folder(out, sensor) / "backbone")}
                needs = (f"pretrain-{sensor}",)
            configuration = merged(load_config(CONFIGS / "finetune" / f"{sensor}_tiny.yaml"), changes)
            jobs.append(Job(f"finetune-{sensor}-{method}", FinetuneTask(configuration), needs))
    return jobs + _fusion_jobs(out, seed, sensors) if len(sensors) > 1 else jobs


def _fusion_jobs(out: Path, seed: int, sensors: Sequence[str]) -> list[Job[DemoTask]]:
    """One model of the branches of the pre-trained detectors, which detects objects and knows them again; then its
    scores with every subset of the sensors."""
    folder = fused_folder(out)
    changes = _changes(out, seed, folder, FINETUNE_STEPS)
    changes["data"]["scenes"] = LABELLED_SCENES
    changes["bundles"] = {sensor: str(finetune_folder(out, sensor, "jepa") / "backbone") for sensor in sensors}
    configuration = merged(load_config(CONFIGS / "finetune" / "fusion_tiny_reid.yaml"), changes)
    needs = tuple(f"finetune-{sensor}-jepa" for sensor in sensors)
    return [
        Job("finetune-fused", FinetuneTask(configuration), needs),
        Job("subsets-fused", SubsetsTask(str(folder)), ("finetune-fused",)),
    ]


def pretrain_folder(out: Path, sensor: str) -> Path:
    """Where a sensor's pre-training leaves its results."""
    return out / "pretrain" / sensor


def finetune_folder(out: Path, sensor: str, method: str) -> Path:
    """Where a fine-tuning leaves its results."""
    return out / "finetune" / f"{sensor}-{method}"


def fused_folder(out: Path) -> Path:
    """Where the fused detector leaves its results."""
    return out / "finetune" / "fused"


def _changes(out: Path, seed: int, folder: Path, steps: int) -> dict[str, Any]:
    """What differs from a configuration that ships."""
    return {
        "seed_everything": seed,
        "data": {"dataroot": str(out / "data"), "version": VERSION},
        "trainer": {"max_steps": steps},
        "out": str(folder),
        "ckpt_path": "last",
    }
