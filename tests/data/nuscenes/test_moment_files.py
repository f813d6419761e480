from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes import NuScenes
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from nuscenes.utils.geometry_utils import transform_matrix
from PIL import Image
from pyquaternion import Quaternion

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, read_radar, write_lidar
from avjepa.data.files.radar import CRN_RADAR_FILTER, DEVKIT_RADAR_FILTER, KEEP_ALL_RETURNS, RadarFilter
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.moment_files import MomentFiles
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.errors import BadFileError, UserError

from ..conftest import TARGET_START, TARGET_VELOCITY, VERSION, ego_pose, landmarks


def load(root: Path, token: str, inputs: SensorInputs, version: str = VERSION) -> Sample:
    index = DatasetIndex.open(root, version)
    moment = next(m for m in range(len(index)) if index.moment_token(m) == token)
    return load_samples(MomentFiles(index), moment, (inputs,))[0]


def heading_of(rotation: Quaternion) -> Quaternion:
    """The part of an ego pose's rotation that the level frame keeps."""
    return Quaternion(axis=[0, 0, 1], radians=quaternion_yaw(rotation))


def in_level(points: np.ndarray, seconds: float) -> np.ndarray:
    position, rotation = ego_pose(seconds)
    return (points - position) @ heading_of(rotation).rotation_matrix


def devkit_in_level(devkit: NuScenes, cloud: LidarPointCloud | RadarPointCloud, sample_token: str) -> np.ndarray:
    """The devkit merges sweeps in the frame of the reference LiDAR; bring them into the level frame of that time."""
    lidar = devkit.get("sample_data", devkit.get("sample", sample_token)["data"]["LIDAR_TOP"])
    calibration = devkit.get("calibrated_sensor", lidar["calibrated_sensor_token"])
    cloud.transform(transform_matrix(calibration["translation"], Quaternion(calibration["rotation"])))
    rotation = Quaternion(devkit.get("ego_pose", lidar["ego_pose_token"])["rotation"])
    cloud.rotate((heading_of(rotation).inverse * rotation).rotation_matrix)
    return cloud.points.T


# -- LiDAR


@pytest.mark.parametrize(("token", "sweeps"), [("sample-0-0", 3), ("sample-1-2", 1), ("sample-1-3", 10)])
def test_sweeps_equal_the_devkits(tiny: Path, devkit: NuScenes, token: str, sweeps: int) -> None:
    sample = devkit.get("sample", token)
    cloud, times = LidarPointCloud.from_file_multisweep(devkit, sample, "LIDAR_TOP", "LIDAR_TOP", sweeps, 1.0)
    theirs = devkit_in_level(devkit, cloud, token)
    ours = load(tiny, token, SensorInputs(lidar=LidarSweeps(sweeps))).lidar
    assert ours is not None
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], atol=2e-5)
    np.testing.assert_allclose(ours[:, 3] * 255, theirs[:, 3], atol=1e-4)
    np.testing.assert_allclose(ours[:, LIDAR_FIELDS.index("time_lag")], times[0], atol=1e-6)


def test_real_cloud_equals_the_devkits(real_keyframe: Path) -> None:
    devkit = NuScenes("v1.0-mini", str(real_keyframe), verbose=False)
    token = devkit.sample[0]["token"]
    cloud, _ = LidarPointCloud.from_file_multisweep(devkit, devkit.sample[0], "LIDAR_TOP", "LIDAR_TOP", 1, 1.0)
    ours = load(real_keyframe, token, SensorInputs(lidar=LidarSweeps(1)), "v1.0-mini").lidar
    assert ours is not None
    np.testing.assert_allclose(ours[:, :3], devkit_in_level(devkit, cloud, token)[:, :3], atol=5e-5)
    assert float(ours[:, 3].max()) <= 1.0
    assert ours[:, 5].unique().tolist() == list(range(32))


@pytest.mark.parametrize("token", ["sample-0-2", "data-0-LIDAR_TOP-7"])
def test_resting_points_coincide_over_sweeps_before_and_after(tiny: Path, token: str) -> None:
    """Each sweep saw the 40 landmarks from another pose; in the BEV frame they are where they are."""
    seconds = 1.0 if token == "sample-0-2" else 0.7
    cloud = load(tiny, token, SensorInputs(lidar=LidarSweeps(sweeps=2, before=2, after=2, stride=3))).lidar
    assert cloud is not None
    truth = in_level(landmarks(), seconds)
    lags = cloud[:, 4].unique().tolist()
    np.testing.assert_allclose(lags, [-0.6, -0.3, 0.0, 0.1, 0.4, 0.7], atol=1e-6)
    for lag in lags:
        sweep = cloud[(cloud[:, 4] == lag)]
        np.testing.assert_allclose(sweep[:40, :3], truth, atol=1e-4)


def test_sweeps_end_with_the_scene(tiny: Path) -> None:
    first = load(tiny, "sample-1-0", SensorInputs(lidar=LidarSweeps(sweeps=5, before=3))).lidar
    last = load(tiny, "data-0-LIDAR_TOP-17", SensorInputs(lidar=LidarSweeps(after=3))).lidar
    assert first is not None and last is not None
    assert first[:, 4].unique().tolist() == [0.0]
    assert last[:, 4].unique().tolist() == [0.0]


def test_returns_from_the_vehicle_are_a_square_in_the_sensor_frame(tiny: Path) -> None:
    """Of the four near points, (.9, -.9) and (.2, .3) go; (.5, 1.01) and (-1, 0) lie outside or on the edge."""
    cloud = load(tiny, "sample-0-0", SensorInputs(lidar=LidarSweeps())).lidar
    assert cloud is not None
    assert cloud.shape == (42, 6)
    assert cloud[40:, 5].tolist() == [42 % 32, 43 % 32]


def test_beam_and_intensity_columns(tiny: Path) -> None:
    cloud = load(tiny, "sample-0-0", SensorInputs(lidar=LidarSweeps())).lidar
    assert cloud is not None
    assert cloud[:40, 5].tolist() == [k % 32 for k in range(40)]
    np.testing.assert_allclose(cloud[:40, 3], [k * 5 % 256 / 255 for k in range(40)], atol=1e-6)


def test_bad_sweep_numbers() -> None:
    for wrong in ({"sweeps": 0}, {"before": -1}, {"after": -1}, {"stride": 0}):
        with pytest.raises(UserError, match="sweep"):
            LidarSweeps(**wrong)
    with pytest.raises(UserError, match="radar"):
        RadarSweeps(0)


def test_empty_lidar_cloud(copy: Path) -> None:
    write_lidar(copy / "samples/LIDAR_TOP/data-0-LIDAR_TOP-0.pcd.bin", np.zeros((0, 5), np.float32))
    cloud = load(copy, "sample-0-0", SensorInputs(lidar=LidarSweeps())).lidar
    assert cloud is not None and cloud.shape == (0, 6)


def test_offsets_of_sweeps() -> None:
    """Two sweeps; every third one before them, two of them; one after, three later."""
    assert LidarSweeps(sweeps=2, before=2, after=1, stride=3).offsets() == (0, -1, -4, -7, 3)
    assert RadarSweeps(1).offsets() == (0,)


# -- radar


def test_radar_positions_equal_the_devkits(tiny: Path, devkit: NuScenes) -> None:
    """All sweeps of both radars, unfiltered. The devkit leaves moving returns where they were seen."""
    ours = load(tiny, "sample-0-2", SensorInputs(radar=RadarSweeps(4))).radar
    assert ours is not None
    velocity = ours[:, [RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp")]]
    seen = ours[:, :2] - velocity * ours[:, 3:4]
    sample = devkit.get("sample", "sample-0-2")
    RadarPointCloud.disable_filters()
    try:
        theirs = [
            RadarPointCloud.from_file_multisweep(devkit, sample, channel, "LIDAR_TOP", 4, 0.0)
            for channel in ("RADAR_FRONT", "RADAR_BACK_LEFT")
        ]
    finally:
        RadarPointCloud.default_filters()
    points = np.concatenate([devkit_in_level(devkit, cloud, "sample-0-2") for cloud, _ in theirs])
    np.testing.assert_allclose(seen, points[:, :2], atol=1e-4)
    np.testing.assert_allclose(ours[:, 2], points[:, 2], atol=1e-4)
    np.testing.assert_allclose(ours[:, 3], np.concatenate([times[0] for _, times in theirs]), atol=1e-6)
    for name in set(RADAR_FIELDS[7:]) | {"rcs"}:
        theirs_of_name = points[:, RADAR_FILE_FIELDS.index(name)]
        np.testing.assert_array_equal(ours[:, RADAR_FIELDS.index(name)], theirs_of_name)


@pytest.mark.parametrize(
    "inputs", [RadarSweeps(6), RadarSweeps(1, before=2, after=3, stride=1)], ids=["past", "both sides"]
)
def test_moving_target_is_where_it_is_at_the_reference_time(tiny: Path, inputs: RadarSweeps) -> None:
    """Two radars saw it over .5 s while the vehicle turned; its velocity comes out the same from every sweep, also
    from sweeps after the reference time, which it has to be taken back from."""
    points = load(tiny, "sample-0-2", SensorInputs(radar=inputs)).radar
    assert points is not None
    assert (points[:, 3] < -0.1).any() == (inputs.after > 0)
    target = points[points[:, RADAR_FIELDS.index("dyn_prop")] == 0]
    assert len(target) == 12
    truth = in_level((TARGET_START + TARGET_VELOCITY * 1.0)[None], 1.0)[0]
    _, rotation = ego_pose(1.0)
    velocity = heading_of(rotation).inverse.rotate(TARGET_VELOCITY)
    np.testing.assert_allclose(target[:, :2], np.tile(truth[:2], (12, 1)), atol=5e-3)
    np.testing.assert_allclose(target[:, 5:7], np.tile(velocity[:2], (12, 1)), atol=5e-3)


def test_radar_filters_equal_the_devkits_on_a_real_file(realdata: Path) -> None:
    path = next((realdata / "radar_raw").glob("*.pcd"))
    points = read_radar(path)
    valid = [0, 4, 8, 9, 10, 11, 12, 15, 16, 17]
    for ours, theirs in (
        (DEVKIT_RADAR_FILTER, RadarPointCloud.from_file(str(path))),
        (CRN_RADAR_FILTER, RadarPointCloud.from_file(str(path), valid, range(8), [3])),
        (RadarFilter(dynamic_properties=(1, 3)), RadarPointCloud.from_file(str(path), range(18), [1, 3], range(5))),
        (KEEP_ALL_RETURNS, RadarPointCloud.from_file(str(path), range(18), range(8), range(5))),
    ):
        np.testing.assert_array_equal(points[ours.keeps(points)], theirs.points.T)
    assert len(points[RadarFilter(invalid_states=(0,)).keeps(points)]) == 125 - 55


# -- cameras


@pytest.mark.parametrize(("height", "width"), [(90, 160), (45, 80), (60, 160), (90, 120), (180, 320)])
@pytest.mark.parametrize("augmented", [False, True])
def test_landmarks_are_where_the_cameras_show_them(tiny: Path, height: int, width: int, augmented: bool) -> None:
    sample = load(tiny, "sample-0-1", SensorInputs(camera=ImageTransform(height, width)))
    points = torch.from_numpy(in_level(landmarks(), 0.5)).float()
    if augmented:
        sample = BEVAugmentation(translation=1.0).applied(sample)
        points = points @ sample.bev_from_level[:3, :3].T + sample.bev_from_level[:3, 3]
    cameras = sample.cameras
    assert cameras is not None
    assert cameras.channels == ("CAM_FRONT", "CAM_BACK")
    assert cameras.images.shape == (2, 3, height, width)
    shown = 0
    for image, intrinsic, bev_from_camera in zip(
        cameras.images, cameras.intrinsics, cameras.bev_from_camera, strict=True
    ):
        camera_from_bev = torch.linalg.inv(bev_from_camera)
        seen = points @ camera_from_bev[:3, :3].T + camera_from_bev[:3, 3]
        scale = torch.linalg.det(camera_from_bev[:3, :3]) ** (1 / 3) if augmented else torch.tensor(1.0)
        seen = seen[seen[:, 2] > 1.0 * scale.abs()]
        pixel = seen @ intrinsic.T
        u, v = (pixel[:, 0] / pixel[:, 2]), (pixel[:, 1] / pixel[:, 2])
        margin = 4 * max(height / 90, width / 160)
        inside = (u > margin) & (u < width - margin) & (v > margin) & (v < height - margin)
        shown += int(inside.sum())
        brightness = image[:, v[inside].long(), u[inside].long()].float()
        assert (brightness > 130).all()
    assert shown >= 5


def test_image_shrinks_by_averaging_in_its_exact_frame(tmp_path: Path) -> None:
    """A step at a quarter of the width stays at a quarter, also where the JPEG decoder's own reduction rounds up."""
    for width in (1600, 1595):
        pixels = np.zeros((904, width, 3), np.uint8)
        pixels[:, round(width / 4) :] = 255
        Image.fromarray(pixels).save(tmp_path / "step.jpg", quality=95)
        image, here_from_file = ImageTransform(200, 400).read(tmp_path / "step.jpg", (904, width))
        edge = float((here_from_file @ torch.tensor([round(width / 4), 0.0, 1.0], dtype=torch.float64))[0])
        profile = 255 - image[0, 100].float()
        assert abs(float(profile.sum() / 255) - edge) < 0.15


def test_sky_is_cut_and_width_centred(tmp_path: Path) -> None:
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:30], pixels[:, :20, 1] = (255, 0, 0), 255
    Image.fromarray(pixels).save(tmp_path / "image.png")
    low, _ = ImageTransform(60, 160).read(tmp_path / "image.png", (90, 160))
    assert int(low[0].max()) == 0  # the red sky is gone
    narrow, here_from_file = ImageTransform(90, 120).read(tmp_path / "image.png", (90, 160))
    assert int(narrow[1].max()) == 0  # so is the green left edge
    assert here_from_file[0, 2] == -20


@pytest.mark.parametrize("broken", ["missing", "truncated", "no image", "other size"])
def test_bad_image_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "image.jpg"
    if broken != "missing":
        Image.effect_noise((80 if broken == "other size" else 160, 90), 50).convert("RGB").save(path)
        content = path.read_bytes()
        path.write_bytes({"truncated": content[: len(content) // 2], "no image": b"\0" * 900}.get(broken, content))
    with pytest.raises(BadFileError, match=r"image.jpg"):
        ImageTransform(45, 80).read(path, (90, 160))


# -- samples


def test_sample_of_a_keyframe_and_of_a_sweep(tiny: Path) -> None:
    inputs = SensorInputs(LidarSweeps(), RadarSweeps(1), ImageTransform(45, 80))
    keyframe, sweep = load(tiny, "sample-1-1", inputs), load(tiny, "data-1-LIDAR_TOP-7", inputs)
    assert keyframe.scene == sweep.scene == "scene-0001"
    assert sweep.timestamp - keyframe.timestamp == 200_000
    position, rotation = ego_pose(0.7)
    np.testing.assert_allclose(sweep.global_from_level[:3, 3], position, atol=1e-6)
    np.testing.assert_allclose(sweep.global_from_level[:3, :3], heading_of(rotation).rotation_matrix, atol=1e-9)
    assert keyframe.cameras is not None and sweep.cameras is None  # no camera within .1 s
    assert sweep.lidar is not None and sweep.radar is not None and sweep.labels is None


def test_missing_sensor_is_none(tiny: Path, real_keyframe: Path) -> None:
    index = DatasetIndex.open(real_keyframe, "v1.0-mini")
    inputs = SensorInputs(LidarSweeps(), RadarSweeps(6), ImageTransform(256, 704))
    sample = load_samples(MomentFiles(index), 0, (inputs,))[0]
    assert sample.radar is not None and len(sample.radar) == 74  # RADAR_FRONT alone
    assert sample.cameras is not None and len(sample.cameras.channels) == 6
    other = load_samples(MomentFiles(DatasetIndex.open(tiny, VERSION)), 0, (SensorInputs(lidar=LidarSweeps()),))[0]
    assert other.radar is None and other.cameras is None


def test_views_of_a_moment_are_what_each_alone_is_and_every_file_is_read_once(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target: other sweeps of LiDAR and radar, the same images; a third view filters the radar."""
    index = DatasetIndex.open(tiny, VERSION)
    moment = next(m for m in range(len(index)) if index.moment_token(m) == "sample-0-2")
    camera, more = ImageTransform(45, 80), {"before": 1, "after": 2, "stride": 2}
    inputs = (
        SensorInputs(LidarSweeps(2), RadarSweeps(2), camera),
        SensorInputs(LidarSweeps(2, **more), RadarSweeps(2, **more), camera),
        SensorInputs(radar=RadarSweeps(1, keep=RadarFilter(dynamic_properties=(1, 3)))),
    )
    alone = [load_samples(MomentFiles(index), moment, (own,), seed=3)[0] for own in inputs]
    opened: list[str] = []
    monkeypatch.setattr(
        DatasetIndex, "file", lambda self, record, file=DatasetIndex.file: opened.append(record) or file(self, record)
    )
    together = load_samples(MomentFiles(index), moment, inputs, seed=3)
    filtered = 2  # the reference sweep of each radar is read again for the other filter
    assert len(opened) == len(set(opened)) + filtered
    for one, other in zip(alone, together, strict=True):
        assert (one.token, one.seed) == (other.token, other.seed)
        for name in ("lidar", "radar"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) == (theirs is None)
            assert mine is None or torch.equal(mine, theirs)
        assert (one.cameras is None) == (other.cameras is None)
        if one.cameras is not None and other.cameras is not None:
            assert torch.equal(one.cameras.images, other.cameras.images)
            assert torch.equal(one.cameras.bev_from_camera, other.cameras.bev_from_camera)
