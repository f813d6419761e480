"""Label-free pre-training of camera, LiDAR and radar BEV backbones with joint-embedding predictive architectures."""

__version__ = "0.1.0"
