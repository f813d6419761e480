"""Detected objects of one sample."""

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Detections:
    """Boxes in the level frame of the sample (the BEV frame with any augmentation undone), best first."""

    boxes: Float[Tensor, "box 9"]
    """Columns: ``geometry.boxes.BOX_FIELDS``."""
    scores: Float[Tensor, "box"]
    """Confidence in [0, 1]."""
    class_index: Int64[Tensor, "box"]
    """Index into ``Taxonomy.classes``."""

    def __len__(self) -> int:
        return self.scores.shape[0]
