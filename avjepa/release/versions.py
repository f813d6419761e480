"""Versions X.Y.Z of a backbone: interface, training data or configuration, tuning."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Literal

from avjepa.errors import UserError

Level = Literal["interface", "training", "tuning"]

_FORM = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_TUNING = {
    "seed_everything", "trainer", "model.learning_rate", "model.weight_decay", "model.warmup_fraction",
    "model.head_first_steps", "model.layer_decay", "model.backbone_learning_rate_factor", "model.seed", "data.seed",
    "data.batch_size", "data.workers", "data.steps",
}  # fmt: skip
"""Sections and keys of a training's configuration that choose how well it is trained, and not what."""
_NO_MATTER = {
    "out", "ckpt_path", "checkpoint_every", "export", "data.dataroot", "data.cache", "features", "evaluate",
    "validate_every", "score_validation", "data.validation_split", "data.eval_split", "data.on_bad_file", "bundles",
    "model.bundle", "model.bundles", "model.init_heads",
}  # fmt: skip
"""Where a training lay and what was looked at. What a bundle changes shows in the weights."""


@dataclass(frozen=True, order=True)
class Version:
    """``X.Y.Z``, ordered as numbers."""

    interface: int
    training: int
    tuning: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """The version that a text names.

        Raises:
            UserError: it is none.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise UserError(f"--version {text}: must be three numbers, X.Y.Z, as in 1.0.0")
        return cls(*(int(part) for part in found.groups()))

    def after(self, level: Level) -> "Version":
        """The next version in which something of a level changed."""
        x, y, z = astuple(self)
        return {"interface": Version(x + 1, 0, 0), "training": Version(x, y + 1, 0), "tuning": Version(x, y, z + 1)}[
            level
        ]

    def __str__(self) -> str:
        return f"{self.interface}.{self.training}.{self.tuning}"


FIRST = Version(1, 0, 0)


@dataclass(frozen=True)
class Change:
    """What tells a backbone from the version before it."""

    level: Level
    of: tuple[str, ...]
    """Names of what changed at that level."""


def change(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """The heaviest change between two descriptions of a backbone.

    Args:
        before: ``interface``: plain values by name, grid and range, channels, sensors, classes; ``data``: fingerprints
            of what it was trained on; ``training``: the configuration of the training.
        after: the same of the other one.
    """
    if of := _differing(before["interface"], after["interface"]):
        return Change("interface", of)
    of = tuple(f"data.{name}" for name in _differing(before["data"], after["data"]))
    keys = _differing(dict(_flat(before["training"])), dict(_flat(after["training"])))
    of += tuple(key for key in keys if not _is_of(key, _NO_MATTER) and not _is_of(key, _TUNING))
    return Change("training", of) if of else Change("tuning", tuple(key for key in keys if _is_of(key, _TUNING)))


def next_version(latest: Version | None, changed: Change | None, wanted: str | None, name: str) -> Version:
    """The version of a backbone that is to be frozen.

    Args:
        latest: the newest of its name; ``None`` where there is none.
        changed: what tells the two apart.
        wanted: the version that the user gives; ``None`` for the least one that says what changed.
        name: of the backbone.

    Raises:
        UserError: the version that is given is not newer, or says less than what changed.
    """
    if latest is None or changed is None:
        return FIRST if wanted is None else Version.parse(wanted)
    least = latest.after(changed.level)
    if wanted is None:
        return least
    version = Version.parse(wanted)
    if version <= latest:
        raise UserError(f"--version {version}: {name} {latest} is there already; give {least} or a higher one")
    heavy = {"interface": 1, "training": 2, "tuning": 3}[changed.level]
    if astuple(version)[:heavy] <= astuple(latest)[:heavy]:
        raise UserError(
            f"--version {version}: since {name} {latest} {', '.join(changed.of[:4]) or 'the weights'} changed, which "
            f"is a change of {changed.level}; give {least} or a higher one"
        )
    return version


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def _is_of(key: str, names: set[str]) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:end]) in names for end in range(1, len(parts) + 1))


def _flat(node: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their whole keys; what ``null`` stands for and what is not there are the same."""
    for name, value in node.items():
        key = f"{before}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        elif value is not None:
            yield key, value
