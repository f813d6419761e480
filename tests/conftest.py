"""Shape and type checks are on in the tests; the real recordings are found here."""

import os
import warnings
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what tests start: their processes share the machine
warnings.filterwarnings("ignore", category=FutureWarning)  # spconv's use of torch.cuda.amp, at import
install_import_hook("avjepa", "beartype.beartype")

import torch  # noqa: E402

torch.set_num_threads(1)  # tests run in parallel processes; the models are small


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Root of the real nuScenes recordings; tests that need them skip where they are absent."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "realdata"
    root = Path(os.environ.get("AVJEPA_REALDATA", default))
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root} (set AVJEPA_REALDATA)")
    return root
