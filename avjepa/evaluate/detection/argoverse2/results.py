"""What is written beside ``predictions.json`` for logs of Argoverse 2."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from rich.console import Console

from avjepa.data.argoverse2.dataset import Argoverse2Dataset
from avjepa.data.argoverse2.feather import arrow
from avjepa.data.argoverse2.log import QUATERNION, TRANSLATION, timestamp_of
from avjepa.data.arrays import Array
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.detection.argoverse2.composite import composite_scores
from avjepa.evaluate.detection.argoverse2.cuboids import Cuboids, annotated_cuboids, detected_cuboids
from avjepa.evaluate.detection.fast import MAXIMUM_BOXES
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.files import replacing, write_json

DETECTIONS = "detections.feather"
"""The competition's own file."""
SCORES = "argoverse2.json"


def write_argoverse2_results(predictions: Path, source: Argoverse2Dataset, split: str, out: Path) -> None:
    """Write detections in the competition's format and, where there are annotations, their composite detection score.

    Nothing is written for classes that are not the competition's.

    Args:
        predictions: the result file that is to be written anew.
        source: the data set.
        split: that was predicted.
        out: folder of both files.

    Raises:
        UserError: the result file cannot be read, or its samples are not those of the split.
    """
    if source.taxonomy.classes != load_taxonomy("argoverse2").classes:
        return
    scenes = source.scenes_of(split)
    moments = source.moments(scenes, keyframes_only=True).tolist()
    tokens = [source.token_of(moment) for moment in moments]
    poses = np.array([source.global_from_ego(moment) for moment in moments])
    detected = detected_cuboids(read_result_file(predictions, source.taxonomy).arranged(tokens, MAXIMUM_BOXES), poses)
    logs = [source.scene_of(moment) for moment in moments]
    _write_feather(out / DETECTIONS, detected, logs, tokens, source.taxonomy.classes)
    (out / SCORES).unlink(missing_ok=True)
    annotated = annotated_cuboids(source.annotated_keyframes(scenes), poses)
    if len(annotated):
        scores = composite_scores(detected, annotated, source.taxonomy.classes)
        write_json(out / SCORES, {"split": split, "means": scores.means(), **asdict(scores)})
        said = ", ".join(f"{name} {value:.3f}" for name, value in scores.means().items())
        Console().print(f"Argoverse 2, up to 150 m: {said}", markup=False, highlight=False, soft_wrap=True)


def _write_feather(path: Path, detected: Cuboids, logs: list[str], tokens: list[str], classes: tuple[str, ...]) -> None:
    pyarrow = arrow()
    sweeps = detected.sweep.tolist()
    columns = {
        **dict(zip(TRANSLATION, detected.centre.T, strict=True)),
        **dict(zip(("length_m", "width_m", "height_m"), detected.size.T, strict=True)),
        **dict(zip(QUATERNION, _quaternions(detected.yaw).T, strict=True)),
        "score": detected.score,
        "log_id": [logs[sweep] for sweep in sweeps],
        "timestamp_ns": np.array([timestamp_of(tokens[sweep]) for sweep in sweeps], np.int64),
        "category": [classes[index] for index in detected.class_index.tolist()],
    }
    texts = ("log_id", "category")
    table = pyarrow.table({n: pyarrow.array(v, pyarrow.string() if n in texts else None) for n, v in columns.items()})
    with replacing(path) as temporary, pyarrow.ipc.new_file(str(temporary), table.schema) as file:
        file.write_table(table)


def _quaternions(yaw: Float64[Array, "box"]) -> Float64[Array, "box 4"]:
    zero = np.zeros(len(yaw))
    return np.stack((np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)), axis=1)
