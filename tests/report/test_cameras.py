"""Where boxes fall in images."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.geometry_utils import view_points
from torch import Tensor

from avjepa.data.sample import Sample
from avjepa.report.cameras import MOSAIC, NEAR_PLANE, mosaic, projected_edges

INTRINSICS = torch.tensor([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])
WIDTH, HEIGHT = 160, 90
LOOKING_FORWARD = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def box(x: float, y: float, z: float, length: float, width: float, height: float, yaw: float = 0.0) -> Tensor:
    return torch.tensor([[x, y, z, length, width, height, yaw, 0.0, 0.0]])


def edges_of(boxes: Tensor) -> tuple[Tensor, Tensor]:
    edges = projected_edges(boxes, LOOKING_FORWARD, INTRINSICS, WIDTH, HEIGHT)
    return edges.ends, edges.box


def test_a_box_straight_ahead_by_hand() -> None:
    ends, _ = edges_of(box(11.0, 0.5, -1.0, 2.0, 1.0, 1.0))  # x 10..12, y 0..1, z -1.5..-0.5
    near = {(80.0, 50.0), (70.0, 50.0), (70.0, 60.0), (80.0, 60.0)}  # u = 80 - 100 y / x, v = 45 - 100 z / x
    drawn = {(round(u, 3), round(v, 3)) for u, v in ends.reshape(-1, 2).tolist()}
    assert near <= drawn
    assert len(ends) == 13


def test_a_box_behind_the_camera_is_not_drawn() -> None:
    ends, _ = edges_of(torch.cat([box(-8, 0, 0, 4, 2, 2), box(-30, 5, 1, 10, 3, 3, 0.7)]))
    assert len(ends) == 0


def test_no_boxes() -> None:
    ends, index = edges_of(torch.zeros(0, 9))
    assert ends.shape == (0, 2, 2) and index.shape == (0,)


def test_an_edge_through_the_near_plane_is_cut_where_it_leaves_the_image() -> None:
    # the car that ego stands beside: its lower right edge runs along x from -3 to 5 at y = 1, z = -1.5
    ends, _ = edges_of(box(1.0, 2.0, -0.75, 8.0, 2.0, 1.5))
    lower = [
        pair for pair in ends.tolist() if math.isclose(pair[0][0], 60.0, abs_tol=1e-3) and pair[0][0] != pair[1][0]
    ]
    assert (ends >= -1e-3).all() and (ends[..., 0] <= WIDTH + 1e-3).all() and (ends[..., 1] <= HEIGHT + 1e-3).all()
    # at x = 5 it projects to (60, 75); it leaves the image through the bottom, v = 90, at x = 150 / 45
    assert any(np.allclose(pair, [[60.0, 75.0], [80 - 100 / (150 / 45), 90.0]], atol=1e-2) for pair in lower), ends


def test_edges_are_the_visible_points_of_the_box() -> None:
    """Brute force: points sampled densely along every edge, kept where they are before the camera and in the image."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(40):
        numbers = torch.rand(7, generator=generator)
        some = box(
            float(numbers[0] * 20 - 5), float(numbers[1] * 12 - 6), float(numbers[2] * 4 - 2),
            float(numbers[3] * 10 + 0.5),
            float(numbers[4] * 3 + 0.5), float(numbers[5] * 3 + 0.5), float(numbers[6] * 6),
        )  # fmt: skip
        ends, _ = edges_of(some)
        x, y, z, length, width, height, yaw = some[0, :7].double().tolist()
        share = np.linspace(-0.5, 0.5, 4001)
        visible = []
        for along, across, up in [(None, a, b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)] + [
            (a, None, b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)
        ] + [(a, b, None) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]:  # fmt: skip
            local = [np.full(4001, v) if v is not None else share for v in (along, across, up)]
            forward = x + local[0] * length * math.cos(yaw) - local[1] * width * math.sin(yaw)
            left = y + local[0] * length * math.sin(yaw) + local[1] * width * math.cos(yaw)
            above = z + local[2] * height
            with np.errstate(divide="ignore"):
                u, v = 80 - 100 * left / forward, 45 - 100 * above / forward
            inside = (forward >= NEAR_PLANE) & (u >= 0) & (u <= WIDTH) & (v >= 0) & (v <= HEIGHT)
            visible.append(np.stack((u, v), -1)[inside])
        points = np.concatenate(visible)
        if len(points) == 0:
            assert len(ends) <= 1  # only the heading line, which runs inside the box
            continue
        first, second = ends[:, 0].numpy().astype(float), ends[:, 1].numpy().astype(float)
        direction = second - first
        squared = np.maximum((direction**2).sum(-1), 1e-12)
        chosen = points[:: max(1, len(points) // 400)]
        t = np.clip(((chosen[:, None] - first) * direction).sum(-1) / squared, 0, 1)
        away = np.linalg.norm(first + t[..., None] * direction - chosen[:, None], axis=-1).min(1)
        assert away.max() < 0.05


CHANNELS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


@pytest.fixture(scope="module")
def devkit(realdata: Path) -> NuScenes:
    return NuScenes("v1.0-mini", str(realdata / "nuscenes_keyframe"), verbose=False)


@pytest.mark.realdata
@pytest.mark.parametrize("channel", CHANNELS)
def test_real_boxes_fall_where_the_devkit_draws_them(devkit: NuScenes, real_keyframe: Sample, channel: str) -> None:
    cameras, labels = real_keyframe.cameras, real_keyframe.labels
    assert cameras is not None and labels is not None
    view = cameras.channels.index(channel)
    edges = projected_edges(labels.boxes, cameras.bev_from_camera[view], cameras.intrinsics[view], 1600, 900)

    keyframe = devkit.sample[0]
    _, boxes, intrinsics = devkit.get_sample_data(keyframe["data"][channel])
    instances = [record["token"] for record in devkit.instance]  # tracks are numbered in the order of the table
    compared = 0
    for annotated in boxes:
        token = devkit.get("sample_annotation", annotated.token)["instance_token"]
        track = instances.index(token)
        if track not in labels.track_ids:
            continue  # a category outside the detection task
        corners = annotated.corners()
        pixels = view_points(corners, np.array(intrinsics), normalize=True)[:2].T
        scale = 0.5  # pixels
        if corners[2].min() < NEAR_PLANE or not ((pixels > scale) & (pixels < (1600 - scale, 900 - scale))).all():
            continue
        ours = edges.ends[edges.box == labels.track_ids.tolist().index(track)][:12]
        assert len(ours) == 12
        distance = np.linalg.norm(ours.reshape(-1, 1, 2).numpy() - pixels[None], axis=-1)
        assert distance.min(0).max() < scale and distance.min(1).max() < scale
        compared += 1
    assert compared > 0


def test_cameras_of_another_rig_stand_in_rows_of_three() -> None:
    assert mosaic(("CAM_BACK", "CAM_FRONT")) == MOSAIC
    assert mosaic(("A", "B", "C", "CAM_FRONT")) == (("A", "B", "C"), ("CAM_FRONT",))
