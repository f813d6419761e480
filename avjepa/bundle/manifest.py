"""What ``config.json`` says: the versioned description of a bundle."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.files import read_json, write_json

FORMAT_VERSION = 2
MANIFEST, WEIGHTS = "config.json", "model.safetensors"
"""Names of the files of a bundle."""
_OLD_NAMES = (("backbone.json", "backbone.safetensors"), ("model.json", "model.safetensors"))
_VERSION_1 = {
    "class_path", "init_args", "token_grid", "out_channels", "tensors", "parameters", "sha256", "avjepa_version",
    "provenance",
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """The description of a bundle.

    Attributes:
        format_version: of this file; readers refuse a newer one.
        architecture: ``class_path`` and ``init_args`` of the module; modules among the arguments are nested alike.
        facts: what a reader wants to know without building it: a backbone's ``token_grid`` and ``out_channels``.
        tensors: how many tensors the weights file holds.
        parameters: how many numbers they hold.
        sha256: of the weights file.
        avjepa_version: version that wrote it.
        provenance: where the weights come from; free-form.
    """

    format_version: int
    architecture: dict[str, Any]
    facts: dict[str, Any]
    tensors: int
    parameters: int
    sha256: str
    avjepa_version: str
    provenance: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, asdict(self))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest of this version or of version 1, which had no nesting and no number.

    Raises:
        UserError: it is missing, no JSON, of a newer version, lacks an entry, has an unknown one, or one of another
            type.
    """
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {_hint(path)}") from error
    except NotADirectoryError as error:
        raise UserError(f"{path.parent}: is a file; give the folder of a bundle") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); export it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a manifest of a bundle; export it again")
    if "format_version" not in content:
        content = _from_version_1(content, path)
    version = content["format_version"]
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(f"{path}: of format version {version}, this avjepa reads up to {FORMAT_VERSION}; update avjepa")
    types = Manifest.__annotations__
    if difference := sorted(types.keys() ^ content.keys()):
        raise UserError(f"{path}: {', '.join(difference)} missing or unknown in a manifest; export it again")
    for name, kind in types.items():
        expected = kind if isinstance(kind, type) else dict
        if not isinstance(content[name], expected) or isinstance(content[name], bool):
            raise UserError(f"{path}: {name} must be of type {expected.__name__}; export it again")
    _require_module(content["architecture"], path)
    if not _finite(content["architecture"]):
        raise UserError(f"{path}: holds a number that is not finite; export it again")
    return Manifest(**content)


def _hint(path: Path) -> str:
    """What may be meant by a bundle without a manifest."""
    within = path.parent / "backbone" / MANIFEST
    if within.is_file():
        return f"the bundle is the folder {within.parent}; give that"
    for manifest, weights in _OLD_NAMES:
        if (path.parent / manifest).is_file():
            renamed = "" if weights == WEIGHTS else f", and {weights} {WEIGHTS}"
            return f"an older avjepa wrote this bundle: rename {manifest} {MANIFEST}{renamed}"
    return f"a bundle holds {MANIFEST} and {WEIGHTS}"


def _from_version_1(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if difference := sorted(_VERSION_1 ^ content.keys()):
        raise UserError(f"{path}: {', '.join(difference)} missing or unknown in a manifest; export it again")
    kept = {name: content[name] for name in ("tensors", "parameters", "sha256", "avjepa_version", "provenance")}
    return kept | {
        "format_version": 1,
        "architecture": {"class_path": content["class_path"], "init_args": content["init_args"]},
        "facts": {"token_grid": content["token_grid"], "out_channels": content["out_channels"]},
    }


def _require_module(node: Mapping[str, Any], path: Path) -> None:
    if not isinstance(node.get("class_path"), str) or not isinstance(node.get("init_args"), dict):
        raise UserError(f"{path}: architecture needs a class_path and init_args; export it again")


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
