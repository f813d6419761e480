"""Targets of the future: what the sensors will give, seen from where the vehicle is now."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.loading.pretrain_dataset import moments_ahead
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.errors import UserError

from ..conftest import landmarks
from .test_datamodule import pretrain

NOW = 0  # a seed: nothing random is loaded


SCENES = ["a"] * 5 + ["b"] * 3
TIMES = np.array([0.0, 0.1, 0.25, 0.5, 0.6, 0.0, 0.5, 1.08]) * 1e6


@pytest.mark.parametrize(
    ("seconds", "expected"),
    # by hand; within .1 s and half of what is asked for, never in another scene
    [(0.5, [3, 4, -1, -1, -1, 6, 7, -1]), (0.1, [1, 2, -1, 4, -1, -1, -1, -1]), (1.0, [-1] * 5 + [7, -1, -1])],
)
def test_the_moment_that_is_so_much_later(seconds: float, expected: list[int]) -> None:
    moments = np.arange(8)
    times = TIMES.astype(np.int64) + 1_600_000_000_000_000
    assert moments_ahead(times, SCENES, moments, seconds).tolist() == expected
    assert moments_ahead(times, SCENES, moments[[6, 0]], seconds).tolist() == [expected[6], expected[0]]


def test_what_is_at_rest_lies_where_it_lay(tiny: Path) -> None:
    """The landmarks' true positions, through poses of a vehicle that drives a curve on a tilted road."""
    module = pretrain(tiny, target_ahead=0.5, augmentation=BEVAugmentation(translation=1.0))
    assert module.dataset is not None
    # of two scenes of 1.5 s those keyframes and sweeps that have one .5 s later
    assert {module.dataset.load(int(m), SampleRequest(0, 1))[0].scene for m in module.dataset.moments} == {
        "scene-0000",
        "scene-0001",
    }
    for moment in module.dataset.moments[[0, 2, -1]]:
        context, target = module.dataset.load(int(moment), SampleRequest(0, 5))
        assert target.timestamp - context.timestamp == pytest.approx(0.5e6, abs=0.1e6)
        assert torch.equal(context.bev_from_level, target.bev_from_level)
        assert torch.equal(context.global_from_level, target.global_from_level)
        bev_from_global = context.bev_from_level.double() @ torch.linalg.inv(context.global_from_level)
        truth = torch.from_numpy(landmarks()) @ bev_from_global[:3, :3].T + bev_from_global[:3, 3]
        for sample in (context, target):
            assert sample.lidar is not None
            found = sample.lidar[:, :3].double()
            assert torch.cdist(truth, found).amin(1).max() < 0.02
            assert not sample.lidar[:, 4].any()  # ages are of each view's own moment


def test_cameras_and_radars_of_the_future_move_with_the_frame(tiny: Path) -> None:
    module = pretrain(tiny, sensors=["lidar"], target_sensors=["camera", "radar"], target_ahead=0.5)
    plain = pretrain(tiny, sensors=["camera", "radar"])
    assert module.dataset is not None and plain.dataset is not None
    moment = int(module.dataset.moments[0])
    context, target = module.dataset.load(moment, SampleRequest(0, NOW))
    assert context.cameras is None and target.cameras is not None and target.radar is not None
    later = next(
        sample
        for sample, _ in (plain.dataset.load(int(m), SampleRequest(0, NOW)) for m in plain.dataset.moments)
        if sample.timestamp == target.timestamp and sample.scene == context.scene
    )
    assert later.cameras is not None and later.radar is not None
    for of_target, of_later in zip(target.cameras.bev_from_camera, later.cameras.bev_from_camera, strict=True):
        torch.testing.assert_close(
            context.global_from_level @ of_target.double(),
            later.global_from_level @ of_later.double(),
            atol=1e-3,
            rtol=0,
        )
    turn = (torch.linalg.inv(context.global_from_level) @ later.global_from_level)[:2, :2].float()
    torch.testing.assert_close(target.radar[:, 5:7], later.radar[:, 5:7] @ turn.T, atol=1e-4, rtol=0)


def test_a_cache_holds_the_targets_too(tiny: Path) -> None:
    module = pretrain(tiny, target_ahead=0.5, keyframes_only=True)
    assert module.dataset is not None
    read = module.all_moments()
    assert len(read) > len(module.dataset.moments) and set(module.dataset.moments) < set(read)


def test_a_future_that_no_scene_has_is_refused(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"has one that is 30 s later; make data\.target_ahead shorter"):
        pretrain(tiny, target_ahead=30.0)
    with pytest.raises(UserError, match=r"data\.target_ahead"):
        pretrain(tiny, target_ahead=-0.5)
