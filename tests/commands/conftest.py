"""The tiny dataset of the data tests, for tests of whole commands; and a zoo that holds one small backbone."""

from pathlib import Path

import pytest

from avjepa import zoo
from tests.commands.small import small
from tests.commands.test_training import avjepa
from tests.data.conftest import copy, real_keyframe, real_metadata, tiny

__all__ = ["copy", "real_keyframe", "real_metadata", "tiny"]


@pytest.fixture(scope="session")
def small_backbone(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one frozen backbone, as the zoo is one."""
    folder = tmp_path_factory.mktemp("small")
    assert small("pretrain", tiny, folder / "run", "--steps", 2) == 0
    freeze = ("release", "freeze", "--run", folder / "run", "--name", "small", "--store", folder / "store")
    assert avjepa(*freeze, "--half", "true", "--why", "For tests.") == 0
    bundles = folder / "bundles"
    bundles.mkdir()
    (folder / "store" / "backbones" / "small" / "1.0.0").rename(bundles / "small")
    return bundles


@pytest.fixture
def small_zoo(small_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a small backbone in the zoo."""
    monkeypatch.setattr(zoo, "FOLDER", small_backbone)
    return "zoo:small"
