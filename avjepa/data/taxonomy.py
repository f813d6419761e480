"""Which classes there are, and what a task needs to know of each: categories, groups, attributes, ranges."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avjepa.data.strict_yaml import YamlFile
from avjepa.errors import UserError

_SHIPPED = Path(__file__).parent / "taxonomies"


@dataclass(frozen=True)
class ClassGroup:
    """Classes of similar size that share a tower of convolutions and suppress one another.

    Args:
        classes: their names.
        nms_radius: metres within which only the best box of the group survives.
    """

    classes: tuple[str, ...]
    nms_radius: float


@dataclass(frozen=True)
class AttributeRule:
    """The likeliest attribute of a class.

    Args:
        moving: of a box that moves.
        still: of a box that does not.
    """

    moving: str
    still: str


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set. ``Labels.class_index`` is an index into ``classes``.

    Plain values only, so that a manifest can hold it and rebuild it.

    Args:
        classes: names of the classes.
        categories: class of every category of the data set; ``None`` for a category of no class.
        groups: classes that a detection head treats together; every class is in one of them.
        ranges: distance from the vehicle (m) within which each class is evaluated.
        attributes: the rule of each class that has attributes.
        moving_speed: m/s above which a box counts as moving.
    """

    classes: tuple[str, ...]
    categories: dict[str, str | None]
    groups: tuple[ClassGroup, ...]
    ranges: dict[str, float]
    attributes: dict[str, AttributeRule]
    moving_speed: float

    def class_of(self, category: str) -> int:
        """Index of a category's class; -1 for one that has none or is not known."""
        name = self.categories.get(category)
        return -1 if name is None else self.classes.index(name)

    def attribute_of(self, class_name: str, speed: float) -> str:
        """The likeliest attribute of a class at a speed (m/s); empty for a class without attributes."""
        rule = self.attributes.get(class_name)
        if rule is None:
            return ""
        return rule.moving if speed > self.moving_speed else rule.still


@cache
def load_taxonomy(name: str) -> Taxonomy:
    """A taxonomy that comes with the package, by its name (``nuscenes``), or any other by the path of its YAML file.

    The file has the keys of ``Taxonomy``, of which ``attributes`` and ``moving_speed`` may be left out together; see
    ``avjepa/data/taxonomies/nuscenes.yaml``.

    Raises:
        UserError: there is no such file, or something in it is wrong: one line that names the key.
    """
    path = _SHIPPED / f"{name}.yaml" if name in _shipped() else Path(name)
    if not path.is_file():
        raise UserError(f"taxonomy {name!r}: no such file; give a path, or one of {', '.join(_shipped())}")
    file = YamlFile(path, ("classes", "categories", "groups", "ranges"), ("attributes", "moving_speed"))
    content = file.content
    classes = file.names(content["classes"], "classes")
    if not classes:
        raise file.wrong("classes", "is empty; name at least one class")
    categories = {
        category: None if chosen is None else file.name(chosen, f"categories: {category}", classes)
        for category, chosen in file.mapping(content["categories"], "categories").items()
    }
    ranges = file.mapping(content["ranges"], "ranges", classes)
    attributes = file.mapping(content.get("attributes", {}), "attributes", (), classes)
    if attributes and "moving_speed" not in content:
        raise file.wrong("attributes", "need a moving_speed (m/s); add it")
    return Taxonomy(
        classes=classes,
        categories=categories,
        groups=_groups(file, classes),
        ranges={one: file.positive(ranges[one], f"ranges: {one}") for one in classes},
        attributes={one: _rule(file, one, attributes[one]) for one in classes if one in attributes},
        moving_speed=file.positive(content.get("moving_speed", 1.0), "moving_speed"),
    )


def _shipped() -> list[str]:
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def _groups(file: YamlFile, classes: tuple[str, ...]) -> tuple[ClassGroup, ...]:
    if not isinstance(given := file.content["groups"], list):
        raise file.wrong("groups", "expected a list of groups")
    groups = []
    for number, value in enumerate(given, 1):
        key = f"groups: number {number}"
        group = file.mapping(value, key, ("classes", "nms_radius"))
        names = file.names(group["classes"], f"{key}: classes", classes)
        if not names:
            raise file.wrong(key, "names no class; leave it out")
        groups.append(ClassGroup(names, file.positive(group["nms_radius"], f"{key}: nms_radius")))
    grouped = [name for group in groups for name in group.classes]
    for name in classes:
        if grouped.count(name) != 1:
            raise file.wrong("groups", f"{name!r} is in {grouped.count(name)} groups; put every class in one")
    return tuple(groups)


def _rule(file: YamlFile, name: str, value: object) -> AttributeRule:
    rule = file.mapping(value, f"attributes: {name}", ("moving", "still"))
    return AttributeRule(
        file.name(rule["moving"], f"attributes: {name}: moving"), file.name(rule["still"], f"attributes: {name}: still")
    )
