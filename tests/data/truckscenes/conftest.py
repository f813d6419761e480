from pathlib import Path

import pytest

from .maker import make


@pytest.fixture(scope="session")
def truckscenes(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version ``v1.2-mini`` of a data set in the form of MAN TruckScenes. Not to be changed."""
    return make(tiny, tmp_path_factory.mktemp("truckscenes") / "data")
