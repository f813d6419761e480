"""Sparse voxels -> BEV map."""

from avjepa.encoders.lidar.encoder import LidarEncoder

__all__ = ["LidarEncoder"]
