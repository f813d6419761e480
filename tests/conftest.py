"""Shape checks are on in the tests; the real recordings are found here."""

import importlib.util
import os
import warnings
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what tests start: their processes share the machine
warnings.filterwarnings("ignore", category=FutureWarning)  # spconv's use of torch.cuda.amp, at import


def modules_with_shapes() -> list[str]:
    """Names of the modules that annotate shapes; what the others say of types is checked by mypy alone."""
    spec = importlib.util.find_spec("avjepa")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    modules = [path for path in package.rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in modules]


install_import_hook(modules_with_shapes(), "beartype.beartype")

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
