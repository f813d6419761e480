"""Official files of the tracking task: read by the devkit, and refused where they can mean nothing."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.tracking.result_file import MOST_BOXES, read_tracks, tracking_classes, write_tracks
from avjepa.evaluate.tracking.tracks import Tracks
from tests.evaluate.reidentification.drives import TWO_CLASSES
from tests.evaluate.tracking.scenes import Found, followed

NUSCENES = load_taxonomy("nuscenes")
BOX = {
    "sample_token": "k0", "translation": [1, 2, 0.5], "size": [2, 4, 1.5], "rotation": [1, 0, 0, 0],
    "velocity": [3, 0], "tracking_id": "a", "tracking_name": "car", "tracking_score": 0.5,
}  # fmt: skip


def tracks() -> Tracks:
    return followed({at: [Found(2.0 * at), Found(20.0, kind="pedestrian")] for at in (0, 1, 3)}, lengths=(4,))


def written(path: Path, *boxes: object, **more: object) -> Path:
    path.write_text(json.dumps({"meta": {"use_lidar": True}, "results": {"k0": boxes} | more}))
    return path


def test_the_devkit_reads_what_is_written(tmp_path: Path) -> None:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import load_prediction
    from nuscenes.eval.tracking.data_classes import TrackingBox

    path, own = tmp_path / "tracking.json", tracks()
    write_tracks(path, own, ["lidar"])
    config = config_factory("tracking_nips_2019")
    boxes, meta = load_prediction(str(path), config.max_boxes_per_sample, TrackingBox, verbose=False)
    assert meta == {f"use_{name}": name == "lidar" for name in ("camera", "lidar", "radar", "map", "external")}
    assert boxes.sample_tokens == ["k0", "k1", "k2", "k3"] and boxes["k2"] == []
    car, pedestrian = boxes["k3"]
    assert (car.tracking_name, pedestrian.tracking_name) == ("car", "pedestrian")
    assert car.tracking_id == boxes["k0"][0].tracking_id != pedestrian.tracking_id
    assert car.translation == pytest.approx((6.0, 0.0, 0.5)) and car.size == (2.0, 4.0, 1.5)
    assert car.velocity[0] > 1 and car.tracking_score == pytest.approx(0.9)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, own = tmp_path / "tracking.json", tracks()
    write_tracks(path, own, ["lidar", "camera"])
    file = read_tracks(path, NUSCENES)
    assert file.sensors == ("camera", "lidar")
    for found in (file.tracks, file.arranged(own.tokens)):
        assert found.boxes == pytest.approx(own.boxes)
        assert np.array_equal(found.keyframe, own.keyframe) and np.array_equal(found.track, own.track)
        assert [found.classes[index] for index in found.class_index] == ["car", "pedestrian"] * 3
    backwards = file.arranged(own.tokens[::-1])
    assert backwards.keyframe.tolist() == [0, 0, 2, 2, 3, 3] and backwards.boxes[0] == pytest.approx(own.boxes[4])
    with pytest.raises(UserError, match="2 samples in one of the two only"):
        file.arranged((*own.tokens[:-1], "other"))


def test_of_too_many_boxes_the_best_are_written(tmp_path: Path) -> None:
    count = MOST_BOXES + 10
    own = followed({0: [Found(9.0 * at, score=0.3 + 0.001 * at) for at in range(count)]}, lengths=(1,))
    write_tracks(tmp_path / "tracking.json", own, [])
    found = read_tracks(tmp_path / "tracking.json", NUSCENES).tracks
    assert len(found.track) == MOST_BOXES and found.score.min() == pytest.approx(0.31)


def test_nothing_is_half_written(tmp_path: Path) -> None:
    path, own = tmp_path / "tracking.json", tracks()
    path.write_text("before")
    own.class_index[-1] = 99
    with pytest.raises(IndexError):
        write_tracks(path, own, [])
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_tilted_box_keeps_its_heading(tmp_path: Path) -> None:
    half = math.pi / 8  # 45 degrees, by a quaternion of length 2
    path = written(tmp_path / "file.json", BOX | {"rotation": [2 * math.cos(half), 0, 0, 2 * math.sin(half)]})
    assert read_tracks(path, NUSCENES).tracks.boxes[0, 3:7] == pytest.approx([4, 2, 1.5, math.pi / 4])


def test_a_taxonomy_without_a_class_of_the_task_cannot_be_tracked() -> None:
    assert len(tracking_classes(NUSCENES)) == 7 and tracking_classes(TWO_CLASSES) == ("car", "pedestrian")


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([BOX | {"tracking_name": "barrier"}], "barrier"),
        ([BOX | {"tracking_name": "bus"}], "bus"),
        ([BOX | {"tracking_id": ""}], "tracking_id"),
        ([BOX | {"tracking_id": 3}], "tracking_id"),
        ([BOX, BOX], "an object has two boxes"),
        ([BOX | {"sample_token": "k1"}], "sample_token"),
        ([BOX | {"size": [2, 0, 1]}], "size"),
        ([BOX | {"translation": [1, 2]}], "translation"),
        ([BOX | {"translation": [1, 2, 1e30]}], "translation"),
        ([BOX | {"rotation": [0, 0, 0, 0]}], "rotation"),
        ([BOX | {"tracking_score": math.nan}], "no nuScenes tracking result"),
        ([BOX | {"num_pts": 0}], "num_pts"),
        ([{name: value for name, value in BOX.items() if name != "velocity"}], "velocity"),
        ([BOX | {"tracking_id": str(at)} for at in range(MOST_BOXES + 1)], "501 boxes, 500 may be"),
        (["box"], "k0"),
    ],
)
def test_a_strangers_file_is_refused_in_one_line(boxes: list[Any], words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "file.json", *boxes)
    with pytest.raises(UserError, match=words) as error:
        read_tracks(path, TWO_CLASSES)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"meta": {}, "results": {"k0": [], "k0": []}}', '{"results": {}}'])
def test_a_file_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(UserError, match="no nuScenes tracking result"):
        read_tracks(path, NUSCENES)
    with pytest.raises(UserError, match="no such file"):
        read_tracks(tmp_path / "none.json", NUSCENES)
    with pytest.raises(UserError, match="no regular file"):
        read_tracks(tmp_path, NUSCENES)
