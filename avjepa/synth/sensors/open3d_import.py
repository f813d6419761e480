"""open3d without its viewers and its collection of learned models.

Importing open3d imports ``open3d.visualization`` with dash and plotly, and ``open3d.ml`` with scikit-learn, scipy and
pandas: three quarters of the import's time, in every worker process. Empty modules stand in for them meanwhile; a later
``import open3d.visualization`` or ``import open3d.ml`` finds the real ones.
"""

import sys
from types import ModuleType

_UNUSED = [name for name in ("open3d.visualization", "open3d.ml") if name not in sys.modules]
sys.modules.update({name: ModuleType(name) for name in _UNUSED})
try:
    import open3d as o3d
finally:
    for _name in _UNUSED:
        del sys.modules[_name]

__all__ = ["o3d"]
