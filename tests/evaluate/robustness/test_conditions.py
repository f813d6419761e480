"""The conditions of a robustness run follow from the model's sensors and from the data's."""

from pathlib import Path

import pytest
import torch

from avjepa.data.channels import NUSCENES_CHANNELS
from avjepa.data.datasets import open_dataset
from avjepa.data.degradation import FewerBeams
from avjepa.data.degradation.points import beams_in
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.robustness.conditions import beams_of, conditions, unmeasurable
from tests.data.conftest import VERSION, tiny

__all__ = ["tiny"]


@pytest.mark.parametrize(
    ("rings", "beams"), [([0, 15], 16), ([3, 29], 32), ([9, 39], 40), ([5, 127], 128), ([0, 0], 0), ([], 0)]
)  # fmt: skip
def test_beams_are_counted(rings: list[int], beams: int) -> None:
    points = torch.zeros(len(rings), 6)
    points[:, 5] = torch.tensor(rings, dtype=torch.float32)
    assert beams_in(points) == beams


def test_the_beams_of_the_data_are_thinned_out(tiny: Path) -> None:
    source = open_dataset(tiny, VERSION, NUSCENES_CHANNELS, load_taxonomy("nuscenes"))
    assert beams_of(source) == 32
    found = {one.name: one for one in conditions(("lidar",), NUSCENES_CHANNELS, 64)}
    assert found["half of the LiDAR beams"].degradation == FewerBeams(32, 64)
    assert found["4 LiDAR beams"].degradation == FewerBeams(4, 64)
    assert unmeasurable(found["4 LiDAR beams"], source) == ""
    unknown = {one.name: one for one in conditions(("lidar",), NUSCENES_CHANNELS, 0)}
    assert "do not say which beam" in unmeasurable(unknown["4 LiDAR beams"], source)


def test_subsets_come_first_and_degradations_concern_a_sensor_that_is_there() -> None:
    found = conditions(("radar", "lidar"), NUSCENES_CHANNELS, 32)
    assert [one.letters for one in found[:4]] == ["L+R", "L", "R", "L+R"]
    assert not [one.name for one in found if "camera" in one.name or one.name in ("night", "blur")]
