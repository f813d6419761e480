"""Boxes of many samples as columns."""

from dataclasses import dataclass, fields, replace

from jaxtyping import Bool, Float, Int64

from avjepa.data.arrays import Array

NO_ATTRIBUTE = -1


@dataclass(frozen=True)
class BoxTable:
    """Annotated or predicted boxes in the global frame, ordered by sample as they were read."""

    sample: Int64[Array, "box"]
    """Position of the sample in the list of tokens the table was made for."""
    class_index: Int64[Array, "box"]
    """Index into the taxonomy's classes."""
    translation: Float[Array, "box 3"]
    size: Float[Array, "box 3"]
    """Width, length, height (m)."""
    yaw: Float[Array, "box"]
    velocity: Float[Array, "box 2"]
    """NaN where it is unknown, which no prediction's is."""
    attribute: Int64[Array, "box"]
    """Index into the taxonomy's ``attribute_names()``, or ``NO_ATTRIBUTE``."""
    score: Float[Array, "box"]

    def __len__(self) -> int:
        return len(self.sample)

    def selected(self, keep: Bool[Array, "box"] | Int64[Array, "kept"] | slice) -> "BoxTable":
        """The boxes that ``keep`` marks, lists or cuts out."""
        return BoxTable(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def with_samples(self, sample: Int64[Array, "box"]) -> "BoxTable":
        """The same boxes with ``sample`` counting another list of tokens."""
        return replace(self, sample=sample)
