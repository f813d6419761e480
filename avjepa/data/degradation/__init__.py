"""What goes wrong with sensors on the road, done to recorded moments: to see what a model's score loses by it."""

from avjepa.data.degradation.base import Degradation, DegradedReader
from avjepa.data.degradation.calibration import Miscalibrated
from avjepa.data.degradation.images import BlurredImages, DeadCameras, NightImages
from avjepa.data.degradation.late import Late
from avjepa.data.degradation.points import FewerBeams, LidarSector, RadarsOnly

__all__ = [
    "BlurredImages",
    "DeadCameras",
    "Degradation",
    "DegradedReader",
    "FewerBeams",
    "Late",
    "LidarSector",
    "Miscalibrated",
    "NightImages",
    "RadarsOnly",
]
