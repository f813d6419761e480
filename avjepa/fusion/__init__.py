"""Several sensors' encoders -> one BEV map, whichever of the sensors are there."""

from avjepa.fusion.backbone import FusedBackbone
from avjepa.fusion.fusers import GatedSumOptions, MaskedMeanOptions

__all__ = ["FusedBackbone", "GatedSumOptions", "MaskedMeanOptions"]
