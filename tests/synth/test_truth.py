"""Labels against the recorded sensor data, by the devkit's own geometry."""

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from nuscenes.utils.geometry_utils import points_in_box, view_points

from avjepa.data.nuscenes.schema import LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Mesh, box
from avjepa.synth.dataset.recording import SceneRecorder
from avjepa.synth.dataset.settings import Settings
from avjepa.synth.dataset.truth import VisibilityProbe
from avjepa.synth.sensors.camera import pixel_directions
from avjepa.synth.sensors.casting import RayCaster
from avjepa.synth.sensors.pixels import standing_in_image
from avjepa.synth.sensors.rig import Mount, RigidPose, mount_sensors
from avjepa.synth.traffic.action import Cast
from avjepa.synth.traffic.actors import Actor, Motion
from tests.synth.conftest import KEYFRAMES, SEED, WIDTH

EVERY_STATE = {"invalid_states": list(range(18)), "dynprop_states": list(range(8)), "ambig_states": list(range(5))}


def test_lidar_points_in_every_box_are_the_stored_number(nusc: NuScenes) -> None:
    boxes_with_points = 0
    for sample in nusc.sample:
        path, boxes, _ = nusc.get_sample_data(sample["data"][LIDAR_CHANNEL])
        points = LidarPointCloud.from_file(path).points[:3]
        for found in boxes:
            stored = nusc.get("sample_annotation", found.token)["num_lidar_pts"]
            assert points_in_box(found, points).sum() == stored
            boxes_with_points += stored > 0
    assert boxes_with_points > 200


def test_radar_points_in_every_box_are_the_stored_number(nusc: NuScenes) -> None:
    total = 0
    for sample in nusc.sample:
        counts = dict.fromkeys(sample["anns"], 0)
        for channel in RADAR_CHANNELS:
            path, boxes, _ = nusc.get_sample_data(sample["data"][channel])
            points = RadarPointCloud.from_file(path, **EVERY_STATE).points[:3]
            for found in boxes:
                counts[found.token] += int(points_in_box(found, points).sum())
        for token, count in counts.items():
            assert nusc.get("sample_annotation", token)["num_radar_pts"] == count
            total += count
    assert total > 100


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> SceneRecorder:
    settings = Settings(3, SEED, KEYFRAMES, WIDTH, 10.0, False, 0.2, 0.0)
    return SceneRecorder(settings, 0, tmp_path_factory.mktemp("again"))


def test_boxes_cover_the_pixels_of_their_object_in_every_camera(nusc: NuScenes, recorder: SceneRecorder) -> None:
    """Rays through the pixels, from the poses in the tables, hit an object only inside its projected box."""
    world = recorder._world
    scene = next(scene for scene in nusc.scene if scene["name"] == "synth-0000")
    sample = nusc.get("sample", scene["first_sample_token"])
    instances = {recorder._token("instance", index): index for index in range(len(world.cast.actors))}
    checked = 0
    for channel in (name for name in sample["data"] if name.startswith("CAM")):
        row = nusc.get("sample_data", sample["data"][channel])
        ego = nusc.get("ego_pose", row["ego_pose_token"])
        calibration = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
        mount = world.mounts[channel]
        assert np.allclose(mount.intrinsic, calibration["camera_intrinsic"])
        pose = RigidPose(mount.rotation.__class__(ego["rotation"]), tuple(ego["translation"]))
        looking = (
            pose.matrix
            @ RigidPose(mount.rotation.__class__(calibration["rotation"]), tuple(calibration["translation"])).matrix
        )
        directions = looking[:3, :3].astype(np.float32) @ pixel_directions(mount, row["width"], row["height"]).T
        moment = world.caster.at(recorder._seconds(row["timestamp"]), looking[:3, 3])
        hits = moment.cast(looking[:3, 3].astype(np.float32), directions)
        owner = np.where(hits.found, moment.surfaces.owner[hits.face], -1).reshape(row["height"], row["width"])
        _, boxes, intrinsic = nusc.get_sample_data(row["token"])
        for found in boxes:
            index = instances[nusc.get("sample_annotation", found.token)["instance_token"]]
            rows, columns = np.nonzero(owner == index)
            corners = found.corners()
            if len(rows) < 12 or corners[2].min() < 0.3:
                continue
            u, v, _ = view_points(corners, intrinsic, normalize=True)
            # a moving object has gone on for up to 45 ms between the exposure and the LiDAR stamp
            slack = 1.0 if not world.cast.moves[index] else 1.0 + 0.06 * 12 * intrinsic[0, 0] / corners[2].min()
            inside = (columns + 1 > u.min() - slack) & (columns < u.max() + slack)
            inside &= (rows + 1 > v.min() - slack) & (rows < v.max() + slack)
            assert inside.mean() > 0.99
            # and the box is no larger than the object needs, where the object is seen whole
            if (
                nusc.get("sample_annotation", found.token)["visibility_token"] == "4"
                and columns.min() > 1
                and columns.max() < WIDTH - 2
            ):
                assert columns.max() - columns.min() > 0.5 * (u.max() - u.min()) - 3
            checked += 1
    assert checked > 10


def test_what_lies_in_a_box_is_the_object_and_nothing_that_looks_like_one(
    recorder: SceneRecorder, nusc: NuScenes
) -> None:
    """Of the rays that end inside a box, those that end on scenery are ground, kerb, or what an object leans on."""
    world = recorder._world
    time = recorder._seconds(recorder._stamp(LIDAR_CHANNEL, 0))
    ego = world.global_from_ego(time).matrix
    sensor = ego @ RigidPose(world.mounts[LIDAR_CHANNEL].rotation, world.mounts[LIDAR_CHANNEL].translation).matrix
    moment = world.caster.at(time, sensor[:3, 3])
    directions = sensor[:3, :3].astype(np.float32) @ recorder._lidar._planes
    hits = moment.cast(sensor[:3, 3].astype(np.float32), directions)
    reach = hits.found & (hits.distance < 50)
    points = sensor[:3, 3] + (directions[:, reach] * hits.distance[reach]).T
    owner = moment.surfaces.owner[hits.face[reach]]
    scene = next(scene for scene in nusc.scene if scene["name"] == "synth-0000")
    instances = {recorder._token("instance", index): index for index in range(len(world.cast.actors))}
    own = scenery = 0
    for token in nusc.get("sample", scene["first_sample_token"])["anns"]:
        found = nusc.get_box(token)
        lifted = points_in_box(found, points.T) & (points[:, 2] > found.center[2] - found.wlh[2] / 2 + 0.15)
        own += np.count_nonzero(owner[lifted] == instances[nusc.get("sample_annotation", token)["instance_token"]])
        scenery += np.count_nonzero(owner[lifted] < 0)
    assert own > 300
    assert scenery < 0.03 * own
    # most of what stands upright on the street is nobody's label
    assert np.count_nonzero(owner < 0) > 5 * own


def test_no_ray_outside_the_windows_of_the_movers_meets_one(recorder: SceneRecorder) -> None:
    """Cameras and LiDAR cast few rays at what moves; casting all of them at every mover's sphere finds no more."""
    world = recorder._world
    pose = recorder._ego(recorder._stamp(LIDAR_CHANNEL, 5))
    sensors = [(recorder._lidar, world.mounts[LIDAR_CHANNEL], recorder._lidar._planes)]
    sensors += [(camera, world.mounts[name], camera._directions) for name, camera in recorder._cameras.items()]
    on_movers = 0
    for sensor, mount, planes in sensors:
        moment = world.caster.at(recorder._seconds(recorder._stamp(LIDAR_CHANNEL, 5)), np.array(pose.translation))
        placed = pose.matrix @ mount.ego_from_sensor
        origin, directions = placed[:3, 3].astype(np.float32), placed[:3, :3].astype(np.float32) @ planes
        every = moment.cast(origin, directions)
        few = moment.cast(origin, directions, sensor._windows(moment, placed))
        assert np.array_equal(every.face, few.face)
        owner = moment.surfaces.owner[every.face[every.found]]
        on_movers += np.count_nonzero(world.cast.moves[owner[owner >= 0]])
    assert on_movers > 500


def test_stored_poses_follow_the_simulated_motion(nusc: NuScenes, recorder: SceneRecorder) -> None:
    world = recorder._world
    moving = 0
    for index in np.flatnonzero(world.cast.moves):
        token = recorder._token("annotation", index, 1)
        if token not in nusc._token2ind["sample_annotation"]:
            continue
        velocity = nusc.box_velocity(token)[:2]
        stamps = [recorder._seconds(recorder._stamp(LIDAR_CHANNEL, 5 * frame)) for frame in (0, 2)]
        before, after = (world.cast.motion.at(stamp).xyz[index, :2] for stamp in stamps)
        row = nusc.get("sample_annotation", token)
        if row["prev"] and row["next"]:
            assert np.allclose(velocity, (after - before) / (stamps[1] - stamps[0]), atol=2e-3)
            moving += np.hypot(*velocity) > 0.5
    assert moving > 5


def _street(wall: Mesh) -> tuple[RayCaster, tuple[Actor, ...]]:
    """A 2 m cube that stands 10 m ahead on the x axis, and a wall."""
    cube = Actor("vehicle.car", (box((2, 2, 2), (0, 0, 1), (1.0, 1.0, 1.0), Material.PAINT),), "parked")
    bystander = Actor("vehicle.car", (box((1.0, 1.0, 1.0), (0, 0, 0.5), (1.0, 1.0, 1.0), Material.PAINT),), "driven")
    xyz = np.tile(np.array([[[10.0, 0.0, 0.0], [-80.0, 0.0, 0.0]]]), (3, 1, 1))
    motion = Motion(0.1, xyz, np.zeros((3, 2)), np.zeros((3, 2)))
    cast = Cast((cube, bystander), motion, np.array([False, True]), np.zeros((3, 2)), np.zeros(3))
    return RayCaster(wall, cast, 0.4), cast.actors


@pytest.mark.parametrize(
    ("covered", "level"),
    [(0.0, 4), (0.1, 4), (0.3, 3), (0.5, 2), (0.8, 1), (1.0, 1)],
)
def test_visibility_is_the_share_that_no_wall_hides(covered: float, level: int) -> None:
    """A wall right in front of the cube's face hides its lower part."""
    # from 1 m height the front face spans 2 m at 9 m; 5 cm before it a wall hides what it is high
    wall = box((0.02, 4.0, 10.0), (8.95, 0, 2.0 * covered - 5.0), (1.0, 1.0, 1.0), Material.CONCRETE)
    caster, actors = _street(wall)
    front = mount_sensors(np.random.default_rng(0), 400)["CAM_FRONT"]
    mount = Mount((0.0, 0.0, 1.0), front.rotation, front.intrinsic, 0.0)
    probe = VisibilityProbe(np.random.default_rng(1), actors)
    pose = RigidPose(front.rotation.__class__(), (0.0, 0.0, 0.0))
    probe.look(caster.at(0.0, np.zeros(3)), mount, (400, 225), pose, np.array([0]))
    assert probe.levels().tolist() == [level, 1]


def test_cameras_find_what_a_ray_through_every_pixel_finds(recorder: SceneRecorder) -> None:
    world = recorder._world
    pose = recorder._ego(recorder._stamp(LIDAR_CHANNEL, 0))
    moment = world.caster.at(recorder._seconds(recorder._stamp(LIDAR_CHANNEL, 0)), np.array(pose.translation))
    for name, camera in recorder._cameras.items():
        placed = pose.matrix @ world.mounts[name].ego_from_sensor
        origin, directions = placed[:3, 3].astype(np.float32), placed[:3, :3].astype(np.float32) @ camera._directions
        forward = camera._directions[2].reshape(camera.height, camera.width)
        distance, face = moment.standing(origin, directions)
        hits = standing_in_image(moment, origin, directions, forward)
        same = face == hits.face
        assert np.count_nonzero(~same) <= 3
        assert np.allclose(distance[same], hits.distance[same], rtol=1e-5)
