"""Clips: which moments, whose boxes, and how the vehicle moved between them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes.eval.detection.utils import category_to_detection_name
from pyquaternion import Quaternion

from avjepa.data.clip import ClipDataset, collate_clips
from avjepa.data.datasets import open_dataset
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.errors import UserError

from .conftest import VERSION, ego_pose, landmarks

NOTHING = SensorInputs()


def level_pose(seconds: float) -> np.ndarray:
    """4x4: where the vehicle of the tiny world is, with its heading alone, by pyquaternion."""
    position, heading = ego_pose(seconds)
    forward = heading.rotation_matrix[:, 0]
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(axis=[0, 0, 1], radians=np.arctan2(forward[1], forward[0])).rotation_matrix
    matrix[:3, 3] = position
    return matrix


def test_ego_motion_between_the_moments_is_that_of_the_poses(tiny: Path) -> None:
    clip = ClipDataset(open_dataset(tiny, VERSION), NOTHING, length=3)[0]
    assert [sample.token for sample in clip.samples] == ["sample-0-0", "sample-0-1", "sample-0-2"]
    for i in range(3):
        for j in range(3):
            expected = np.linalg.inv(level_pose(0.5 * i)) @ level_pose(0.5 * j)
            np.testing.assert_allclose(clip.bev_from_bev[i, j].numpy(), expected, atol=1e-4)


def test_points_at_rest_stay_where_they_are(tiny: Path) -> None:
    clip = ClipDataset(open_dataset(tiny, VERSION), SensorInputs(LidarSweeps()), length=2, stride=2)[0]
    clouds = [sample.lidar for sample in clip.samples]
    assert clouds[0] is not None and clouds[1] is not None
    count = len(landmarks())
    moved = clouds[1][:count, :3] @ clip.bev_from_bev[0, 1, :3, :3].T + clip.bev_from_bev[0, 1, :3, 3]
    torch.testing.assert_close(moved, clouds[0][:count, :3], atol=1e-3, rtol=0)


def test_clips_stay_within_scenes(tiny: Path) -> None:
    dataset = open_dataset(tiny, VERSION)
    clips = ClipDataset(dataset, NOTHING, length=2, stride=2)
    tokens = [[dataset.token_of(int(moment)) for moment in clip] for clip in clips.clips]
    assert tokens == [[f"sample-{scene}-{k}", f"sample-{scene}-{k + 2}"] for scene in range(2) for k in range(2)]
    sweeps = ClipDataset(dataset, NOTHING, length=18, keyframes_only=False, with_labels=False)
    assert len(sweeps) == 2, "each scene has eighteen LiDAR sweeps"


def test_an_object_keeps_its_number_in_every_moment(tiny: Path) -> None:
    # the tiny world's instances in the order of their table: a car, a pedestrian hidden in keyframe 2, a barrier in it
    clip = ClipDataset(open_dataset(tiny, VERSION), NOTHING, length=4, scenes=["scene-0001"])[0]
    found = [sample.labels for sample in clip.samples]
    assert [labels.track_ids.tolist() for labels in found if labels] == [[4, 5], [4, 5], [4, 6], [4, 5]]
    assert [labels.visibility.tolist() for labels in found if labels] == [[1, 2], [1, 2], [1, 3], [1, 2]]


def test_clips_are_stacked_moment_by_moment(tiny: Path) -> None:
    clips = ClipDataset(open_dataset(tiny, VERSION), SensorInputs(LidarSweeps()), length=3)
    batch = collate_clips([clips[0], clips[3]])
    assert len(batch) == 2 and len(batch.moments) == 3 and batch.bev_from_bev.shape == (2, 3, 3, 4, 4)
    assert [moment.tokens for moment in batch.moments] == [(f"sample-0-{k}", f"sample-1-{k + 1}") for k in range(3)]
    assert torch.equal(batch.to("cpu").bev_from_bev[1], clips[3].bev_from_bev)


def test_clips_that_no_scene_holds_are_refused(tiny: Path) -> None:
    dataset = open_dataset(tiny, VERSION)
    with pytest.raises(UserError, match="no chosen scene has 5 moments in a row"):
        ClipDataset(dataset, NOTHING, length=3, stride=2)
    with pytest.raises(UserError, match="length and stride must be at least 1"):
        ClipDataset(dataset, NOTHING, length=0)
    with pytest.raises(UserError, match="moments between keyframes have no labels"):
        ClipDataset(dataset, NOTHING, length=2, keyframes_only=False)


def test_real_tracks_keep_their_numbers(real_metadata: Path) -> None:
    """Each of the 218 instances of 81 real keyframes that is of a class has one number in all of them."""
    dataset = open_dataset(real_metadata, "v1.0-mini")
    clips = ClipDataset(dataset, NOTHING, length=2)
    assert len(clips) == 81 - 2
    names: dict[int, str] = {}
    places: dict[int, torch.Tensor] = {}
    for number in range(len(clips)):
        clip = clips[number]
        for sample in clip.samples:
            assert sample.labels is not None
            tracks = sample.labels.track_ids.tolist()
            assert len(set(tracks)) == len(tracks)
            in_world = sample.labels.boxes[:, :2].double() @ sample.global_from_level[:2, :2].T
            in_world += sample.global_from_level[:2, 3]
            for track, place in zip(tracks, in_world, strict=True):
                assert names.setdefault(track, dataset.track_name(track)) == dataset.track_name(track)
                before = places.get(track)
                # at most 20 m/s between keyframes half a second apart, in whose order the clips come
                assert before is None or (place - before).norm() < 25
                places[track] = place
    tables = {
        name: json.loads((real_metadata / "v1.0-mini" / f"{name}.json").read_text())
        for name in ("category", "instance")
    }
    category = {row["token"]: row["name"] for row in tables["category"]}
    assert len(tables["instance"]) == 218
    assert sorted(names.values()) == sorted(
        row["token"] for row in tables["instance"] if category_to_detection_name(category[row["category_token"]])
    )
