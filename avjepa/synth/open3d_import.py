"""open3d without its collection of learned models.

Importing open3d imports ``open3d.ml`` and with it scikit-learn, scipy and pandas: two thirds of the import's time, in
every worker process. An empty module stands in for it meanwhile; a later ``import open3d.ml`` finds the real one.
"""

import sys
from types import ModuleType

_MODELS = "open3d.ml"
_absent = _MODELS not in sys.modules
if _absent:
    sys.modules[_MODELS] = ModuleType(_MODELS)
try:
    import open3d as o3d
finally:
    if _absent:
        del sys.modules[_MODELS]

__all__ = ["o3d"]
