"""The configuration reference, from the constructors: every class that a YAML can name, with its arguments."""

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from docstring_parser import DocstringStyle, parse

import avjepa
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.pretrain.monitoring.collapse_monitor import CollapseMonitor

ROOTS = {
    "model, of `avjepa pretrain`": PretrainModule,
    "data, of `avjepa pretrain`": PretrainDataModule,
    "model, of `avjepa finetune`": FinetuneModule,
    "data, of `avjepa finetune`": DetectionDataModule,
    "trainer.callbacks, of `avjepa pretrain`": CollapseMonitor,
}
"""What stands at the top of a configuration, by its key."""


INTRODUCTION = """# Configuration

Made from the constructors. A YAML has the keys of this page; where one class of several can stand, it is named:

```yaml
model:
  objective:
    class_path: avjepa.pretrain.objectives.jepa.JEPA
    init_args: {...}
```

Below `trainer` are the arguments of
[Lightning's Trainer](https://lightning.ai/docs/pytorch/stable/common/trainer.html#trainer-class-api): callbacks,
loggers, strategies. `avjepa pretrain lidar_tiny --print_config` shows a configuration with everything filled in.
"""


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor, as texts."""

    name: str
    kind: str
    default: str
    says: str


def import_everything() -> None:
    """Import every module of the package, so that every subclass is known."""
    for module in pkgutil.walk_packages(avjepa.__path__, "avjepa."):
        importlib.import_module(module.name)


def arguments_of(cls: type) -> list[Argument]:
    """The arguments of a class's constructor."""
    documented = parse(inspect.getdoc(cls) or "", DocstringStyle.GOOGLE).params
    said = {part.arg_name: part.description or "" for part in documented}
    result: list[Argument] = []
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:  # handed to the class that this one is made from
            base = next(base for base in cls.__mro__[1:] if "__init__" in vars(base))
            known = {argument.name for argument in result}
            result += [argument for argument in arguments_of(base) if argument.name not in known]
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        default = "required" if parameter.default is parameter.empty else _shown(parameter.default)
        result.append(Argument(name, _type_name(parameter.annotation), default, " ".join(said.get(name, "").split())))
    return result


def classes_in(cls: type) -> list[type]:
    """The package's classes that the constructor's types name, in their order."""
    if cls.__init__ is object.__init__:
        return []
    hints: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("avjepa.") and "__init__" in vars(base):
            hints |= typing.get_type_hints(base.__init__)
    named = {argument.name for argument in arguments_of(cls)}
    return list(dict.fromkeys(found for name, hint in hints.items() if name in named for found in _classes(hint)))


def reachable() -> dict[type, list[type]]:
    """Every class that a configuration can name, and those that can stand in its place, itself among them."""
    result: dict[type, list[type]] = {}
    waiting = list(ROOTS.values())
    while waiting:
        cls = waiting.pop(0)
        if cls in result:
            continue
        choices = [cls] if cls in ROOTS.values() else [kind for kind in _family(cls) if not inspect.isabstract(kind)]
        result[cls] = choices
        for choice in choices:
            waiting += classes_in(choice)
    return result


def page() -> str:
    """The whole reference as Markdown."""
    import_everything()
    found = reachable()
    lines = [*INTRODUCTION.splitlines(), ""]
    titles = {cls: key for key, cls in ROOTS.items()}
    shown: set[type] = set()
    for cls in found:
        if cls in titles:
            lines += [f"## {titles[cls]}", "", *_table(cls, found)]
            shown.add(cls)
    lines += ["## Parts", ""]
    for cls, choices in sorted(found.items(), key=lambda item: item[0].__name__):
        if cls in titles or (cls in shown and len(choices) < 2):
            continue
        if choices != [cls]:
            names = ", ".join(f"[{kind.__name__}](#{_anchor(kind)})" for kind in choices) or "none that ships"
            lines += [f"### {cls.__name__} {{ #{_anchor(cls)}-kinds }}", "", _summary(cls), "", f"One of: {names}.", ""]
        for kind in choices:
            if kind not in shown:
                shown.add(kind)
                lines += [
                    f"### {kind.__name__} {{ #{_anchor(kind)} }}",
                    "",
                    _summary(kind),
                    "",
                    f"`{kind.__module__}.{kind.__name__}`",
                    "",
                ]
                lines += _table(kind, found)
    return "\n".join(lines)


def _table(cls: type, found: dict[type, list[type]]) -> list[str]:
    rows = arguments_of(cls)
    if not rows:
        return ["No arguments.", ""]
    lines = ["| argument | type | default | |", "|---|---|---|---|"]
    links = {kind.__name__: kind for kind in classes_in(cls)}
    for row in rows:
        kind = row.kind
        for name, target in links.items():
            anchor = _anchor(target) if found.get(target) == [target] else f"{_anchor(target)}-kinds"
            kind = kind.replace(f"`{name}`", f"[{name}](#{anchor})")
        lines.append(f"| `{row.name}` | {kind} | `{row.default}` | {row.says.replace('|', chr(92) + '|')} |")
    return [*lines, ""]


def _summary(cls: type) -> str:
    return " ".join((parse(inspect.getdoc(cls) or "", DocstringStyle.GOOGLE).short_description or "").split())


def _anchor(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}".replace(".", "-").lower()


def _family(cls: type) -> Iterator[type]:
    yield cls
    for kind in cls.__subclasses__():
        if kind.__module__.startswith("avjepa."):
            yield from _family(kind)


def _classes(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.startswith("avjepa.") and not issubclass(hint, str):
        yield hint
    for inner in typing.get_args(hint):
        yield from _classes(inner)


def _type_name(hint: object) -> str:
    if isinstance(hint, str):
        return f"`{hint}`"
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(_type_name(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if hint is type(None):
        return "`null`"
    if origin := typing.get_origin(hint):
        inner = ", ".join(_type_name(part).replace("`", "") for part in typing.get_args(hint) if part is not Ellipsis)
        return f"`{getattr(origin, '__name__', origin)}` of `{inner}`"
    return f"`{getattr(hint, '__name__', hint)}`"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_shown(part) for part in value) + "]"
    if type(value).__module__.startswith("avjepa."):
        return type(value).__name__
    return "its own" if value.__class__.__name__ == "_HAS_DEFAULT_FACTORY_CLASS" else str(value)
