"""The small street of the nuScenes inspection, opened through the protocol."""

from tests.data.nuscenes.inspection.conftest import street as street
