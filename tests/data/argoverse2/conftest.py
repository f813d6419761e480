import shutil
from pathlib import Path

import pytest

from .maker import make


@pytest.fixture(scope="session")
def argoverse2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder whose version is ``sensor``. Not to be changed."""
    return make(tmp_path_factory.mktemp("argoverse2") / "data")


@pytest.fixture
def broken(argoverse2: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    return Path(shutil.copytree(argoverse2, tmp_path / "data", ignore=shutil.ignore_patterns(".avjepa-*")))
