"""Point files: what is in them, and that their physics is right."""

from pathlib import Path

import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from pyquaternion import Quaternion

from avjepa.data.nuscenes.schema import LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.synth.dataset.radar_file import RADAR_RECORD, radar_file
from tests.synth.test_truth import EVERY_STATE


def test_lidar_files_hold_32_rings_at_the_elevations_of_the_hdl_32e(nusc: NuScenes) -> None:
    path = nusc.get_sample_data_path(nusc.sample[0]["data"][LIDAR_CHANNEL])
    x, y, z, intensity, ring = np.fromfile(path, np.float32).reshape(-1, 5).T
    assert 20_000 < len(x) <= 32 * 1086
    distance = np.sqrt(x**2 + y**2 + z**2)
    assert distance.max() < 100.5 and np.isfinite(distance).all()
    assert np.array_equal(intensity, np.round(intensity)) and intensity.min() >= 0 and intensity.max() <= 255
    elevation = np.degrees(np.arcsin(z / distance))
    for beam in range(32):
        assert np.allclose(elevation[ring == beam], -30.67 + beam * 41.34 / 31, atol=0.01)
    # the roof under the sensor hides most of the lowest beam, as in the recordings, and the rest of it meets the road
    lowest = distance[ring == 0]
    assert 0.6 < np.mean(lowest < 1.5) < 0.95


def test_the_road_around_the_vehicle_lies_at_the_height_of_its_wheels(nusc: NuScenes) -> None:
    for sample in nusc.sample:
        token = sample["data"][LIDAR_CHANNEL]
        points = LidarPointCloud.from_file(nusc.get_sample_data_path(token))
        calibration = nusc.get("calibrated_sensor", nusc.get("sample_data", token)["calibrated_sensor_token"])
        points.rotate(Quaternion(calibration["rotation"]).rotation_matrix)
        points.translate(np.array(calibration["translation"]))
        x, y, z, _ = points.points
        ahead = z[(np.abs(y) < 1.2) & (x > 4) & (x < 9) & (z < 0.5)]
        assert len(ahead) > 20 and abs(np.median(ahead)) < 0.06


def test_standing_things_have_no_speed_over_ground_while_the_vehicle_drives(nusc: NuScenes) -> None:
    checked = 0
    for scene in nusc.scene:
        for channel in RADAR_CHANNELS:
            sample = nusc.get("sample", nusc.get("sample", scene["first_sample_token"])["next"])
            own, _, raw, compensated, labels = _returns_in_boxes(nusc, sample, channel)
            for speed, label in zip(compensated, labels, strict=True):
                row = nusc.get("sample_annotation", label)
                names = [nusc.get("attribute", token)["name"] for token in row["attribute_tokens"]]
                if names == ["vehicle.parked"]:
                    assert np.hypot(*speed) < 0.5
                    checked += 1
            standing = np.hypot(*compensated.T) < 0.3
            if np.hypot(*own) > 2 and standing.any():
                # raw velocities are relative to the sensor: the street comes towards it
                assert np.abs(raw[standing] + own).max() < 0.7
    assert checked > 10


def _returns_in_boxes(nusc: NuScenes, sample: dict, channel: str) -> tuple:  # type: ignore[type-arg]
    """The vehicle's velocity in the radar's frame; line of sight, raw and compensated velocity, box of each return."""
    row = nusc.get("sample_data", sample["data"][channel])
    path, boxes, _ = nusc.get_sample_data(row["token"])
    fields = RadarPointCloud.from_file(path, **EVERY_STATE).points
    before, after = nusc.get("sample_data", row["prev"]), nusc.get("sample_data", row["next"])
    poses = [nusc.get("ego_pose", each["ego_pose_token"]) for each in (before, after)]
    calibration = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
    places = [
        np.array(p["translation"]) + Quaternion(p["rotation"]).rotate(np.array(calibration["translation"]))
        for p in poses
    ]
    travelled = (places[1] - places[0]) / ((after["timestamp"] - before["timestamp"]) / 1e6)
    pose = nusc.get("ego_pose", row["ego_pose_token"])
    own = (Quaternion(calibration["rotation"]).inverse * Quaternion(pose["rotation"]).inverse).rotate(travelled)[:2]
    labels, keep = [], []
    for found in boxes:
        inside = np.flatnonzero(points_in_box(found, fields[:3]))
        keep += inside.tolist()
        labels += [found.token] * len(inside)
    xy = fields[:2, keep].T
    towards = xy / np.linalg.norm(xy, axis=1, keepdims=True).clip(min=1e-6)
    return own, towards, fields[6:8, keep].T, fields[8:10, keep].T, labels


def test_moving_things_show_the_radial_part_of_their_velocity(nusc: NuScenes) -> None:
    errors = []
    for sample in nusc.sample:
        if not sample["prev"] or not sample["next"]:
            continue
        for channel in RADAR_CHANNELS:
            row = nusc.get("sample_data", sample["data"][channel])
            calibration = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
            pose = nusc.get("ego_pose", row["ego_pose_token"])
            to_sensor = Quaternion(calibration["rotation"]).inverse * Quaternion(pose["rotation"]).inverse
            _, towards, _, compensated, labels = _returns_in_boxes(nusc, sample, channel)
            for direction, speed, label in zip(towards, compensated, labels, strict=True):
                velocity = nusc.box_velocity(label)
                if not np.isfinite(velocity).all() or np.hypot(*velocity[:2]) < 2:
                    continue
                radial = float(to_sensor.rotate(velocity)[:2] @ direction)
                # no real radar measures the part across the line of sight
                assert abs(speed @ np.array((-direction[1], direction[0]))) < 0.35
                errors.append(speed @ direction - radial)
    assert len(errors) > 10
    assert np.median(np.abs(errors)) < 0.3


def test_radar_files_look_like_the_original(realdata: Path) -> None:
    original = next((realdata / "radar_raw").rglob("*.pcd")).read_bytes()
    start = original.index(b"DATA binary\n") + len(b"DATA binary\n")
    records = np.frombuffer(original, RADAR_RECORD, 125, start)
    assert radar_file(records) == original


def test_radar_fields_are_as_frequent_as_in_the_original(nusc: NuScenes, realdata: Path) -> None:
    original = RadarPointCloud.from_file(str(next((realdata / "radar_raw").rglob("*.pcd"))), **EVERY_STATE).points
    found = np.concatenate(
        [
            RadarPointCloud.from_file(nusc.get_sample_data_path(sample["data"][channel]), **EVERY_STATE).points
            for sample in nusc.sample
            for channel in RADAR_CHANNELS
        ],
        axis=1,
    )
    per_sweep = found.shape[1] / len(nusc.sample) / len(RADAR_CHANNELS)
    assert 40 < per_sweep <= 125
    invalid_state, pdh0, ambig_state = 14, 15, 11
    assert abs(np.mean(found[invalid_state] == 0) - np.mean(original[invalid_state] == 0)) < 0.15
    assert abs(np.mean(found[pdh0] == 1) - np.mean(original[pdh0] == 1)) < 0.2
    assert np.mean(found[ambig_state] == 3) > 0.95
    assert (found[2] == 0).all()
    assert np.allclose(np.mod(found[5] * 2 + 1e-3, 1), 1e-3, atol=1e-2)


def test_an_empty_radar_cycle_reads_as_no_points(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcd"
    path.write_bytes(radar_file(np.zeros(0, RADAR_RECORD)))
    assert RadarPointCloud.from_file(str(path)).points.shape == (18, 0)
