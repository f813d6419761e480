"""One small synthetic dataset for all tests of the room."""

from pathlib import Path

import pytest
from nuscenes.nuscenes import NuScenes

from avjepa.synth.dataset.generate import VERSION, synthesise

SEED = 11
KEYFRAMES = 3
WIDTH = 160


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "three"
    synthesise(root, 3, SEED, keyframes=KEYFRAMES, image_width=WIDTH, workers=1)
    return root


@pytest.fixture(scope="session")
def nusc(dataset: Path) -> NuScenes:
    return NuScenes(VERSION, str(dataset), verbose=False)
