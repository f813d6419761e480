"""What BEV segmentation tells apart. A cell may be of several classes: a vehicle stands on drivable ground."""

from dataclasses import dataclass, field

from avjepa.errors import UserError
from avjepa.ranges import require_number

DRIVABLE_AREA = "drivable_area"


@dataclass(frozen=True)
class SegmentedClasses:
    """Names of the classes, and what each is made of.

    Args:
        drivable_area: whether the data set's map masks (of nuScenes: the semantic prior) are a class, of that name.
        objects: further classes: which classes of boxes each is the footprints of. The default is the ``vehicle`` of
            Lift, Splat, Shoot (Philion and Fidler 2020) and of cross-view transformers (Zhou and Krähenbühl 2022).
        minimum_visibility: cells of boxes of a lower nuScenes visibility level, 1-4, are neither taught nor scored;
            the latter paper takes 2, the former 1, which is every box.
    """

    drivable_area: bool = True
    objects: dict[str, list[str]] = field(
        default_factory=lambda: {
            "vehicle": ["car", "truck", "construction_vehicle", "bus", "trailer", "motorcycle", "bicycle"]
        }
    )
    minimum_visibility: int = 1

    def __post_init__(self) -> None:
        require_number("SegmentedClasses.minimum_visibility", self.minimum_visibility, at_least=1, at_most=4)
        if DRIVABLE_AREA in self.objects:
            raise UserError(
                f"SegmentedClasses.objects: {DRIVABLE_AREA!r} is the name of the maps' class; choose another"
            )
        if empty := [name for name, members in self.objects.items() if not members]:
            raise UserError(f"SegmentedClasses.objects: {empty[0]}: is made of no class of boxes; name some")
        if not self.names:
            raise UserError("SegmentedClasses: there is no class; name some objects, or set drivable_area")

    @property
    def names(self) -> tuple[str, ...]:
        """All classes in their order: that of a map's channels."""
        return (*((DRIVABLE_AREA,) if self.drivable_area else ()), *self.objects)

    def indices(self, taxonomy_classes: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        """By class of ``objects``: the indices of its boxes' classes in a taxonomy.

        Raises:
            UserError: the taxonomy has no such class.
        """
        for name, members in self.objects.items():
            if unknown := [member for member in members if member not in taxonomy_classes]:
                raise UserError(
                    f"SegmentedClasses.objects: {name}: the taxonomy has no class {unknown[0]!r}; choose some of "
                    f"{', '.join(taxonomy_classes)}"
                )
        return {
            name: tuple(taxonomy_classes.index(member) for member in members) for name, members in self.objects.items()
        }
