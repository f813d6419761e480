"""``--bundles lidar=DIR,camera=DIR,radar=DIR``: the branches of a fused backbone, each from a bundle of its own."""

import json
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from avjepa.bundle.construction import require_trusted
from avjepa.commands.parsing import readable
from avjepa.data.sample import SENSORS
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.bundled import read_backbone_manifest
from avjepa.errors import UserError


def as_mapping(value: str) -> str:
    """``lidar=DIR,radar=DIR`` as the JSON that options with keys hold; what is JSON or null stays.

    Raises:
        UserError: it is neither.
    """
    if value.lstrip().startswith("{") or value == "null":
        return value
    folders: dict[str, str] = {}
    for part in value.split(","):
        sensor, equals, folder = part.partition("=")
        if not equals or not folder or sensor in folders:
            raise UserError(f"--bundles {value}: give every sensor once, as in lidar=DIR,camera=DIR,radar=DIR")
        folders[sensor] = folder
    return json.dumps(folders)


def require_bundles(bundles: Mapping[str, Any]) -> None:
    """Raise unless they are folders by the names of sensors.

    Raises:
        UserError: naming what is not.
    """
    if not bundles:
        raise UserError("--bundles: names no bundle; give them as in lidar=DIR,camera=DIR,radar=DIR")
    if unknown := sorted(set(bundles) - set(SENSORS)):
        raise UserError(f"--bundles {unknown[0]}=...: no such sensor; use {', '.join(SENSORS)}")


def branches_of(bundles: Mapping[str, str]) -> dict[str, Namespace]:
    """The architecture of every bundle, as a configuration of the branch.

    Raises:
        UserError: a bundle cannot be read, is of no sensor's encoder, or names code that is not trusted.
    """
    require_bundles(bundles)
    branches = {}
    for sensor, folder in bundles.items():
        architecture = read_backbone_manifest(folder).architecture
        require_trusted(architecture, folder)
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(SensorEncoder, "branch", required=True)
        try:
            branches[sensor] = parser.parse_object({"branch": architecture}).branch
        except ArgumentError as error:
            raise UserError(f"--bundles {sensor}={folder}: {readable(error)}") from error
    return branches
