"""Which classes a detection head treats together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassGroup:
    """Classes of similar size that share a tower of convolutions and suppress one another.

    Args:
        classes: names from ``data.fields.CLASSES``.
        nms_radius: metres within which only the best box of the group survives.
    """

    classes: tuple[str, ...]
    nms_radius: float


NUSCENES_GROUPS = (
    ClassGroup(("car",), 2.0),
    ClassGroup(("truck", "construction_vehicle"), 3.46),
    ClassGroup(("bus", "trailer"), 3.16),
    ClassGroup(("barrier",), 1.0),
    ClassGroup(("motorcycle", "bicycle"), 0.92),
    ClassGroup(("pedestrian", "traffic_cone"), 0.42),
)
"""CenterPoint's six groups; the radii are the roots of its squared ones (4, 12, 10, 1, 0.85, 0.175 m²)."""
