"""Which classes there are, and what a task needs to know of each: categories, groups, attributes, ranges."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from avjepa.data.strict_yaml import YamlFile
from avjepa.errors import UserError

_SHIPPED = Path(__file__).parent / "taxonomies"
_SOME_CLASSES = ("without_velocity", "without_heading", "half_turn")


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
        others: what the class may have besides, without being likely.
    """

    moving: str
    still: str
    others: tuple[str, ...] = ()


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
        without_velocity: classes of things that stand; their velocity is not evaluated.
        without_heading: classes that look alike from all sides; their heading is not evaluated.
        half_turn: classes whose front looks like their back; the heading is evaluated up to half a turn.
        ignored_inside: by category, classes whose boxes are not evaluated where they stand inside a box of the category
            (cycles in a bicycle rack).
    """

    classes: tuple[str, ...]
    categories: dict[str, str | None]
    groups: tuple[ClassGroup, ...]
    ranges: dict[str, float]
    attributes: dict[str, AttributeRule]
    moving_speed: float
    without_velocity: tuple[str, ...] = ()
    without_heading: tuple[str, ...] = ()
    half_turn: tuple[str, ...] = ()
    ignored_inside: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of all that it says: of taxonomies of the same name, which one a result was made with."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

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

    def attribute_names(self) -> tuple[str, ...]:
        """Every attribute that a box may have, in the order in which the rules name them."""
        rules = self.attributes.values()
        return tuple(dict.fromkeys(name for rule in rules for name in (rule.moving, rule.still, *rule.others)))


def load_taxonomy(name: str) -> Taxonomy:
    """A taxonomy that comes with the package, by its name (``nuscenes``), or any other by the path of its YAML file.

    The file has the keys of ``Taxonomy``. From ``attributes`` on they may be left out, where ``attributes`` need a
    ``moving_speed``; see ``avjepa/data/taxonomies/nuscenes.yaml``.

    Raises:
        UserError: there is no such file, or something in it is wrong: one line that names the key.
    """
    path = _SHIPPED / f"{name}.yaml" if name in _shipped() else Path(name)
    if not path.is_file():
        raise UserError(f"taxonomy {name!r}: no such file; give a path, or one of {', '.join(_shipped())}")
    file = YamlFile(
        path,
        ("classes", "categories", "groups", "ranges"),
        ("attributes", "moving_speed", *_SOME_CLASSES, "ignored_inside"),
    )
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
        ignored_inside={
            category: file.names(names, f"ignored_inside: {category}", classes)
            for category, names in file.mapping(
                content.get("ignored_inside", {}), "ignored_inside", (), categories
            ).items()
        },
        **{key: file.names(content.get(key, []), key, classes) for key in _SOME_CLASSES},
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
    key = f"attributes: {name}"
    rule = file.mapping(value, key, ("moving", "still"), ("others",))
    moving, still = (file.name(rule[one], f"{key}: {one}") for one in ("moving", "still"))
    return AttributeRule(moving, still, file.names(rule.get("others", []), f"{key}: others"))
