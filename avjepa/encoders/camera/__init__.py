"""Images -> BEV map: an image backbone and a lift."""

from avjepa.encoders.camera.encoder import CameraEncoder

__all__ = ["CameraEncoder"]
