"""``avjepa pseudo-objects``."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from avjepa.commands.opening import opened
from avjepa.commands.parsing import run_function
from avjepa.commands.splits import scenes_of
from avjepa.data.loading.dataset import OnBadFileOption
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sensor_inputs import require_recorded, stop_at_bad_file
from avjepa.errors import BadFileError, UserError, counted
from avjepa.evaluate.detection.predictions import official_boxes, write_predictions
from avjepa.progress import with_bar
from avjepa.pseudo_objects.classes import class_indices
from avjepa.pseudo_objects.reading import found_in_scene
from avjepa.worker_pool import by_workers

_MOST = 500
"""Boxes of a keyframe, as the official evaluation allows."""

_Entries: TypeAlias = dict[str, bytes]


@dataclass(frozen=True)
class _Scene:
    """What was found in a scene."""

    entries: _Entries
    classes: Counter[str]
    bad_files: int


@dataclass(frozen=True)
class _Search:
    """What a process needs to know to look into any of the scenes."""

    source: DrivingDataset
    skip_bad_files: bool

    def found(self, scene: str) -> _Scene:
        """The boxes of a scene by keyframe. Raises ``BadFileError`` at a bad file."""
        bad: list[BadFileError] = []

        def note(error: BadFileError, of_the_moment: bool) -> None:
            bad.append(error)

        entries: _Entries = {}
        classes: Counter[str] = Counter()
        handler = note if self.skip_bad_files else stop_at_bad_file
        for moment, detections in found_in_scene(self.source, scene, handler):
            token, pose = self.source.token_of(moment), self.source.global_from_level(moment)
            boxes = official_boxes(token, detections, pose, self.source.taxonomy)[:_MOST]
            entries[token] = json.dumps(boxes).encode()
            classes.update(box["detection_name"] for box in boxes)
        return _Scene(entries, classes, len(bad))


def pseudo_objects(
    data: Path,
    out: Path,
    version: str = "v1.0-trainval",
    split: str = "train",
    channels: Path | None = None,
    taxonomy: str | None = None,
    on_bad_file: OnBadFileOption = "stop",
    workers: int = 2,
) -> None:
    """Find boxes of objects without any label, from the LiDAR sweeps of whole scenes: ground, clusters, motion, size.

    The file is of the form of predictions.json of avjepa evaluate; finetune --pseudo_labels teaches it, on scenes of
    which it has every keyframe: one without a LiDAR sweep is left out.

    Args:
        data: the dataset's root folder.
        out: the file of boxes, as in pseudo_objects.json; replaced if it is there.
        version: name of its folder of tables, or of its part.
        split: which scenes.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default. Classes
            of no usual size, trailers say, are never found.
        on_bad_file: stop with an error that names the file, or skip it.
        workers: parallel processes.
    """
    if workers < 1:
        raise UserError(f"--workers {workers}: at least one process is needed")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name the file to write, as in {out / 'pseudo_objects.json'}")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"--out {out}: nothing can be written into {above}; name another file")
    source = opened(data, version, channels, taxonomy)
    scenes = scenes_of(source, split, "--split")
    require_recorded(("lidar",), source.channels, source.recorded_channels, source.name, "pass it as --channels FILE")
    class_indices(source.taxonomy)
    entries: _Entries = {}
    classes: Counter[str] = Counter()
    bad_files = 0
    search = _Search(source, on_bad_file == "skip")
    found = by_workers(search.found, scenes, workers, "pseudo-objects")
    for scene in with_bar(found, "pseudo-objects, scenes", len(scenes)):
        entries |= scene.entries
        classes += scene.classes
        bad_files += scene.bad_files
    keyframes = source.keyframe_tokens(scenes)
    tokens = [token for token in keyframes if token in entries]
    write_predictions(out, entries, tokens, ("lidar",))
    named = ", ".join(f"{name} {classes[name]:,}" for name in source.taxonomy.classes if classes[name])
    unseen = len(keyframes) - len(tokens)
    skipped = f"; {counted(unseen, 'keyframe')} without a LiDAR sweep left out" if unseen else ""
    skipped += f"; {counted(bad_files, 'bad file')} left out" if bad_files else ""
    print(f"{out}: {counted(len(tokens), 'keyframe')}; {named or 'no object at all'}{skipped}")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("pseudo-objects", pseudo_objects, arguments)
