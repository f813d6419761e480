"""``--bundles lidar=DIR,...``: the branches of a fused backbone, each from a bundle of its own; and ``--init``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from avjepa.bundle.construction import require_trusted
from avjepa.commands.parsing import readable
from avjepa.data.sample import SENSORS
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.bundled import read_backbone_manifest
from avjepa.errors import UserError
from avjepa.parsed_values import parsed
from avjepa.training.console import status


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


def fused_configuration(backbone: Namespace | None, option: str, command: str) -> Namespace:
    """The configuration of a fused backbone, whose branches are to be replaced.

    Raises:
        UserError: it is of another backbone.
    """
    if backbone is None or "branches" not in backbone.get("init_args", {}):
        raise UserError(
            f"--bundles: {option} is no fused backbone, which alone has branches; use a configuration such as "
            f"configs/{command}/fusion_tiny.yaml"
        )
    return backbone


def sensors_of(bundles: Mapping[str, str], configured: Sequence[str], option: str) -> list[str]:
    """The sensors to read: those of the bundles, in the configured order; says so where they are others."""
    sensors = [*(name for name in configured if name in bundles), *(name for name in bundles if name not in configured)]
    if set(sensors) != set(configured):
        status(f"{option}: {', '.join(sensors)}, those of --bundles")
    return sensors


def branches_of(bundles: Mapping[str, str]) -> dict[str, Namespace]:
    """The architecture of every bundle, as a configuration of the branch.

    Raises:
        UserError: a bundle cannot be read, is of no sensor's encoder, or names code that is not trusted.
    """
    require_bundles(bundles)
    return {
        sensor: _parsed(read_backbone_manifest(folder).architecture, f"--bundles {sensor}={folder}")
        for sensor, folder in bundles.items()
    }


def loaded_branches_of(bundles: Mapping[str, str]) -> dict[str, Namespace]:
    """As ``branches_of``, with the bundles' weights."""
    branches_of(bundles)
    return {sensor: _loaded(folder, f"--bundles {sensor}={folder}") for sensor, folder in bundles.items()}


def loaded_encoder(folder: str, configured: Namespace | None) -> Namespace:
    """The encoder of ``--init``, with its weights, as a configuration; says so where the configured one is another.

    Raises:
        UserError: as ``branches_of``.
    """
    option = f"--init {folder}"
    theirs = _parsed(read_backbone_manifest(folder).architecture, option)
    if configured is not None and (configured.get("class_path"), configured.get("init_args")) != (
        theirs.get("class_path"), theirs.get("init_args")
    ):  # fmt: skip
        status("model.objective.init_args.encoder is the bundle's, which differs from the configured one")
    return _loaded(folder, option)


def _loaded(folder: str, source: str) -> Namespace:
    return _parsed({"class_path": "avjepa.encoders.bundled.load_encoder", "init_args": {"directory": folder}}, source)


def _parsed(branch: Mapping[str, Any], source: str) -> Namespace:
    require_trusted(branch, source)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SensorEncoder, "branch", required=True)
    try:
        given: Namespace = parsed(parser, {"branch": branch}).branch
    except ArgumentError as error:
        raise UserError(f"{source}: {readable(error)}") from error
    return given
