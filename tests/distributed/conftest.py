"""The tiny dataset of the data tests."""

from tests.data.conftest import copy, real_keyframe, real_metadata, tiny

__all__ = ["copy", "real_keyframe", "real_metadata", "tiny"]
