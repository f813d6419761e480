"""``avjepa release cache``."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avjepa.commands.frozen_data import data_shown
from avjepa.commands.parsing import run_function
from avjepa.errors import UserError, counted
from avjepa.progress import progress_bar
from avjepa.ranges import require_number

_SECONDS = 2.0
"""Between two looks at what other processes have computed."""

if TYPE_CHECKING:
    from avjepa.data.loading.detection_datamodule import DetectionDataModule


def cache(
    backbone: str,
    data: Path,
    version: str = "v1.0-trainval",
    splits: str = "train,val",
    heads: Path | None = None,
    store: Path = Path("releases"),
    processes: int = 1,
    device: str = "cpu",
) -> None:
    """Compute a frozen backbone's maps of a data set, once: what heads are trained on and scored with.

    The same command goes on where it stopped; "avjepa release train" computes what it misses by itself.

    Args:
        backbone: NAME of the store, its newest version, or NAME@X.Y.Z.
        data: root folder of the dataset.
        version: name of its folder of tables.
        splits: whose keyframes, as in "train,val".
        heads: the configuration of heads that will be trained: the augmented copies (data.augmentation with its
            draws) of the first split are computed instead of the keyframes as they are.
        store: folder of the store.
        processes: that compute side by side.
        device: "cpu", "cuda" or "cuda:1".
    """
    from avjepa.commands.splits import scenes_of
    from avjepa.encoders.bundled import load_backbone
    from avjepa.features.store import FeatureKey, FeatureStore, require_space
    from avjepa.release.inputs import features_folder, inputs_of
    from avjepa.release.store import Store

    require_number("--processes", processes, at_least=1, at_most=256)
    place = Store(store).backbone(backbone)
    options = {**inputs_of(place), "dataroot": str(data), "version": version, "workers": 0}
    augmentation = None if heads is None else _augmentation(heads)
    module = data_shown(options, augmentation)
    assert module.source is not None
    names = [name.strip() for name in splits.split(",")]
    scenes = {split: scenes_of(module.source, split, "--splits") for split in names}
    folder = features_folder(Store(store), place, module.source)
    network = load_backbone(place)
    kept = FeatureStore.create(folder, FeatureKey.of(network, module), network, _sensors(options))
    augmented = [
        (scene, number == 0 and augmentation is not None) for number, s in enumerate(names) for scene in scenes[s]
    ]
    jobs = list(dict.fromkeys(augmented))
    most = sum(len(_missing(module, [scene], bend, kept)) * module.batch_size for scene, bend in jobs)
    size = require_space(folder, most, kept.shape)
    print(f"{folder}: about {counted(most, 'map')} to compute, {size / 2**20:,.0f} MiB", flush=True)
    shares = [jobs[first::processes] for first in range(processes) if jobs[first::processes]]
    work = [(str(place), str(folder), options, augmentation, share, device, processes) for share in shares]
    there = len(kept)
    with progress_bar("computing maps", most) as advance:
        if processes == 1:
            _fill(*work[0], done=advance)
        else:
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(len(work), mp_context=context) as pool:
                waiting = {pool.submit(_fill, *share) for share in work}
                while waiting:  # what a process has done shows in the folder
                    ended, waiting = concurrent.futures.wait(waiting, _SECONDS, concurrent.futures.FIRST_COMPLETED)
                    for share in ended:
                        share.result()
                    kept.refresh()
                    advance(len(kept) - there)
                    there = len(kept)
    kept.refresh()
    print(f"{folder}: {counted(len(kept), 'map')}")


def _fill(
    backbone: str,
    folder: str,
    options: Mapping[str, Any],
    augmentation: Mapping[str, Any] | None,
    jobs: Sequence[tuple[str, bool]],
    device: str,
    processes: int,
    done: Callable[[int], object] = lambda maps: None,
) -> None:
    """One process's share, scene by scene."""
    import torch

    from avjepa.encoders.bundled import load_backbone
    from avjepa.features.store import FeatureKey, FeatureStore
    from avjepa.processes import end_with_parent

    if processes > 1:
        end_with_parent()
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    module = data_shown(options, augmentation)
    network = load_backbone(backbone)
    store = FeatureStore(folder, FeatureKey.of(network, module).digest)
    torch.backends.cudnn.allow_tf32 = False  # in the precision of the weights
    network.to(device)
    for bend in (False, True):
        scenes = [scene for scene, augmented in jobs if augmented == bend]
        if scenes:
            store.fill(network, _missing(module, scenes, bend, store), done)


def _missing(module: "DetectionDataModule", scenes: Sequence[str], augmented: bool, store: Any) -> Any:
    from avjepa.features.keyframes import keyframe_loader

    return keyframe_loader(module, scenes, module.augmentation if augmented else None, store.__contains__)


def _sensors(options: Mapping[str, Any]) -> list[str]:
    return list(options["sensors"])


def _augmentation(heads: Path) -> Mapping[str, Any] | None:
    from avjepa.commands.configurations import load_config
    from avjepa.commands.shipped import configuration_file

    content = load_config(configuration_file(heads, "heads", "--heads "))
    data = content.get("data") if isinstance(content, dict) else None
    augmentation = data.get("augmentation") if isinstance(data, dict) else None
    if augmentation is None:
        return None
    if not isinstance(augmentation, dict) or not isinstance(augmentation.get("draws"), int):
        raise UserError(
            f"--heads {heads}: data.augmentation has no number of draws, of which all could be kept; set draws"
        )
    return augmentation


def run_cache(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release cache", cache, arguments)
