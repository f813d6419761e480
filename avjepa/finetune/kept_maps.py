"""A training on a frozen backbone whose maps are computed once, kept on disk, and read from there."""

from collections.abc import Sequence
from pathlib import Path

from lightning import Trainer

from avjepa.bundle.files import load_bundled_weights
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.errors import UserError, counted
from avjepa.features.keyframes import keyframe_loader, with_few_draws
from avjepa.features.store import FeatureKey, FeatureStore, require_space
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.progress import progress_bar
from avjepa.training.console import status


class KeptMaps:
    """Puts a ``FeatureStore`` into the place of a model's frozen backbone: no sensor file is opened for what it holds.

    The model stays what it is, with its backbone in every checkpoint: only its forward pass changes.

    A convolutional encoder does not commute with flips and rotations, so the maps of an augmented sample are computed
    from it; of every training keyframe a few augmentations are kept (``augmentation.draws``).

    Args:
        folder: of the store; it may be there, and is one for this backbone, data and precision alone.
        module: with ``mode: frozen``.
        data: what it is trained on and predicts.
        trainer: gives the device. Maps are computed in the precision of the weights.
        samples: how many samples the training takes; ``None`` where nothing is trained.
        of_bundle: whether the backbone's weights are the module's bundle's, and not its own already.

    Raises:
        UserError: the maps cannot stand for what the training would have the backbone see.
    """

    def __init__(
        self,
        folder: str | Path,
        module: FinetuneModule,
        data: DetectionDataModule,
        trainer: Trainer,
        samples: int | None,
        of_bundle: bool,
    ) -> None:
        self.folder, self.module, self.data, self.trainer = Path(folder), module, data, trainer
        self.samples, self.of_bundle = samples, of_bundle
        backbone = module.model.backbone
        if samples is not None:
            _require_still(module)
        if samples is not None and of_bundle and module.bundle is None:
            raise UserError("--features: keeps the maps of a pre-trained backbone; name its bundle with --bundle DIR")
        if data.gt_sampling is not None and samples is not None:
            raise UserError(
                "data.gt_sampling: objects cannot be pasted into maps that are kept; leave it, or --features, out"
            )
        if trainer.world_size > 1:
            raise UserError("--features: is for one process; give --trainer.devices 1, or leave it out")
        if not any(True for _ in backbone.parameters()):
            raise UserError(f"--features: {type(backbone).__name__} has no weights, and no maps worth keeping")

    def of_training(self) -> None:
        """Compute what the training reads, as far as it is not there, and from now on read it."""
        assert self.samples is not None, "nothing is trained"
        self.data.setup("fit")
        self.data.augmentation = augmentation = with_few_draws(self.data, self.samples)
        validated = self.data.validation_split
        self._computed(self.data.train_scenes(), augmentation)
        if validated is not None:
            assert self.data.source is not None
            self._computed(self.data.source.scenes_of(validated), None)

    def of_split(self, split: str) -> None:
        """Compute what predicting a split reads, as far as it is not there, and from now on read it."""
        self.data.setup("predict")
        assert self.data.source is not None
        self._computed(self.data.source.scenes_of(split), None)

    def _computed(self, scenes: Sequence[str], augmentation: BEVAugmentation | None) -> None:
        store = self._store()
        missing = keyframe_loader(self.data, scenes, augmentation, store.__contains__)
        if len(missing):
            backbone = self.module.model.backbone.to(self.trainer.strategy.root_device).eval()
            most = len(missing) * self.data.batch_size  # the last batch may be smaller
            require_space(self.folder, most, store.shape)
            status(f"{self.folder}: computing about {counted(most, 'map')} of the frozen backbone")
            with progress_bar("computing maps", most) as advance, self.module.full_precision():
                store.fill(backbone, missing, advance)
        self.module.model.maps, self.data.reads_maps = store, True

    def _store(self) -> FeatureStore:
        if self.module.model.maps is not None:
            return self.module.model.maps
        backbone = self.module.model.backbone
        if self.of_bundle:
            assert self.module.bundle is not None
            load_bundled_weights(backbone, self.module.bundle)
        key = FeatureKey.of(backbone, self.data)
        read = backbone.sensors_read()
        sensors = [name for name in self.data.inputs.sensors() if not read or name in read]
        return FeatureStore.create(self.folder, key, backbone, sensors)


def _require_still(module: FinetuneModule) -> None:
    if module.model.backbone not in module.frozen:
        raise UserError("--features: the maps of a backbone that learns change; give --model.mode frozen too")
    for number, stage in enumerate(module.stages):
        if stage.sensors is not None or stage.sensor_dropout > 0:
            raise UserError(
                f"model.stages: number {number} shows some of the sensors, and --features keeps maps of all of them; "
                "leave the one or the other out (--model.stages null)"
            )
