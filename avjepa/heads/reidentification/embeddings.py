"""What the re-identification head says of one sample."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from avjepa.data.labels import BoxQueries


@dataclass(frozen=True)
class ObjectEmbeddings:
    """An embedding for every box that was asked about."""

    queries: BoxQueries
    """In the sample's level frame (the BEV frame with any augmentation undone)."""
    embeddings: Float[Tensor, "box dimension"]
    """Of length 1: their product is the cosine of the angle between them. On the CPU."""
