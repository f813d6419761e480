import pickle
from dataclasses import replace

import torch

from avjepa.data.channels import NUSCENES_CHANNELS
from avjepa.data.labels import Labels
from avjepa.data.loading.collate import collate, collate_pretrain
from avjepa.data.sample import CameraImages, Sample

RIG = NUSCENES_CHANNELS.cameras


def sample(token: str, **sensors: object) -> Sample:
    return Sample(token, "scene", 0, 2**62, torch.eye(4, dtype=torch.float64), torch.eye(4), **sensors)


def rig(*channels: str) -> CameraImages:
    count = len(channels)
    images = torch.stack([torch.full((3, 4, 6), ord(c[4]), dtype=torch.uint8) for c in channels])
    return CameraImages(
        images, 2 * torch.eye(3).repeat(count, 1, 1), 3 * torch.eye(4).repeat(count, 1, 1), channels, RIG
    )


def test_points_know_their_sample_and_absent_sensors_are_told_from_empty_ones() -> None:
    batch = collate(
        [
            sample("a", lidar=torch.full((2, 6), 1.0)),
            sample("b", lidar=None),
            sample("c", lidar=torch.zeros(0, 6)),
            sample("d", lidar=torch.full((3, 6), 4.0)),
        ]
    )
    assert batch.lidar is not None
    assert batch.lidar.batch_index.tolist() == [0, 0, 3, 3, 3]
    assert batch.lidar.features[:, 0].tolist() == [1, 1, 4, 4, 4]
    assert batch.lidar.present.tolist() == [True, False, True, True]
    assert batch.lidar.batch_size == 4
    assert batch.radar is None and batch.cameras is None and batch.labels is None
    assert batch.tokens == ("a", "b", "c", "d")
    assert batch.seeds.tolist() == [2**62] * 4


def test_batch_without_a_single_point() -> None:
    batch = collate([sample("a", radar=torch.zeros(0, 16)), sample("b", radar=torch.zeros(0, 16))])
    assert batch.radar is not None
    assert batch.radar.features.shape == (0, 16)
    assert batch.radar.present.all()


def test_each_image_has_its_own_place() -> None:
    batch = collate(
        [sample("a", cameras=rig("CAM_BACK", "CAM_FRONT")), sample("b"), sample("c", cameras=rig("CAM_BACK"))]
    )
    assert batch.cameras is not None
    assert batch.cameras.present.tolist() == [[True, True], [False, False], [False, True]]  # front, back
    assert batch.cameras.images[0, :, 0, 0, 0].tolist() == [ord("F"), ord("B")]
    assert batch.cameras.images[2, :, 0, 0, 0].tolist() == [0, ord("B")]
    assert batch.cameras.intrinsics[2, 1, 0, 0] == 2 and batch.cameras.intrinsics[2, 0, 0, 0] == 1
    assert batch.cameras.bev_from_camera[0, 0, 0, 0] == 3


def test_cameras_whose_images_are_all_missing_are_no_sensor() -> None:
    none = CameraImages(torch.zeros(0, 3, 4, 6, dtype=torch.uint8), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4), (), RIG)
    assert collate([sample("a", cameras=none), sample("b")]).cameras is None


def test_labels() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    labels = Labels(torch.zeros(0, 9), none, none, none, none, none)
    assert collate([sample("a", labels=labels)]).labels == (labels,)
    assert collate([sample("a", labels=labels), sample("b")]).labels is None


def test_one_view_in_two_roles_is_one_batch_also_after_a_copy() -> None:
    one, other = sample("a", lidar=torch.zeros(1, 6)), sample("a", lidar=torch.ones(1, 6))
    same = collate_pretrain([(one, one), (one, one)])
    assert same.target is same.context
    copied = same.to("cpu")
    assert copied.target is copied.context
    different = collate_pretrain([(one, other)])
    assert different.target.lidar is not None
    assert different.target.lidar.features[0, 0] == 1


def test_images_and_frames_of_both_views_are_one_object_also_after_a_copy() -> None:
    """They are collated and sent to the device once."""
    context = sample("a", cameras=rig("CAM_BACK"))
    target = replace(context, lidar=torch.zeros(1, 6))
    batch = collate_pretrain([(context, target)])
    for shared in (batch, batch.to("cpu"), pickle.loads(pickle.dumps(batch))):
        assert shared.target.cameras is shared.context.cameras is not None
        assert shared.target.bev_from_level is shared.context.bev_from_level
        assert shared.context.lidar is None and shared.target.lidar is not None
    turned = replace(target, cameras=replace(context.cameras, bev_from_camera=torch.eye(4)[None]))
    turned = replace(turned, bev_from_level=2 * torch.eye(4))
    other = collate_pretrain([(context, target), (context, turned)])
    assert other.target.bev_from_level[:, 0, 0].tolist() == [1, 2] and other.context.bev_from_level[1, 0, 0] == 1
    assert other.context.cameras is not None and other.target.cameras is not None
    assert (
        other.context.cameras.bev_from_camera[1, 0, 0, 0] == 3 and other.target.cameras.bev_from_camera[1, 0, 0, 0] == 1
    )
    assert collate_pretrain([(context, target), (context, sample("a"))]).target.cameras is not other.context.cameras
