"""A training's backbone as an immutable, versioned bundle with a model card."""

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from avjepa.bounded_yaml import require_bounded
from avjepa.bundle.files import save_halved_bundle
from avjepa.bundle.manifest import MANIFEST, WEIGHTS, Manifest
from avjepa.data.taxonomy import load_taxonomy
from avjepa.encoders.bundled import load_backbone, read_backbone_manifest
from avjepa.errors import UserError
from avjepa.files import read_json, read_text, write_json, write_text
from avjepa.provenance import FILE_NAME as PROVENANCE
from avjepa.release.inputs import INPUTS
from avjepa.release.model_card import CURVES, MAPS, model_card
from avjepa.release.scores import scores_of
from avjepa.release.store import FORMAT_VERSION, RECORD, Store, read_record, require_name
from avjepa.release.versions import Change, Version, change, next_version
from avjepa.report.curves import FINETUNING_PANELS, PRETRAINING_PANELS, curves_figure
from avjepa.report.images import chart_png_of
from avjepa.training.metrics import read_curves

TRAINING = "training.yaml"
"""The configuration of the training, as it was written."""


def freeze(
    run: Path,
    store: Store,
    name: str,
    version: str | None,
    licence: str,
    why: str,
    half: bool = False,
    picture: Callable[[Path, Mapping[str, Any]], bytes | None] = lambda folder, data: None,
) -> tuple[Path, str]:
    """Put the backbone of a finished training into a store.

    Args:
        run: folder of ``avjepa pretrain`` or ``avjepa finetune``.
        store: where to.
        name: of the backbone, e.g. ``lidar-base``.
        version: X.Y.Z; ``None`` for the least one that says what changed since the newest one of that name.
        licence: on what terms the weights may be used.
        why: in a sentence, for the card.
        half: keep the weights as float16, see ``save_halved_bundle``.
        picture: of the maps, as a PNG, from the folder of the backbone and the options of the training's data.

    Returns:
        The folder, and what the version says, in a line.

    Raises:
        UserError: the run is not finished or holds no backbone of its own; the version does not say what changed.
    """
    require_name("--name", name)
    described, manifest, configuration = _described(run)
    known = store.backbones().get(name, [])
    latest = known[-1] if known else None
    changed, before = None, None
    if latest is not None:
        before = read_record(store.backbone_folder(name, latest), interface=dict, data=dict, training=dict, sha256=str)
        changed = change(before, described)
    chosen = next_version(latest, changed, version, name)
    folder = store.backbone_folder(name, chosen)
    with store.new(folder) as hidden:
        if half:
            manifest = save_halved_bundle(run / "backbone", hidden)
        else:
            for file in (MANIFEST, WEIGHTS):
                shutil.copyfile(run / "backbone" / file, hidden / file)
        if before is not None and before["sha256"] == manifest.sha256:
            raise UserError(f"--run {run}: {name} {latest} holds these very weights already; nothing is to be frozen")
        record = {
            "format_version": FORMAT_VERSION, "kind": "backbone", "name": name, "version": str(chosen), "why": why,
            "licence": licence, "frozen": datetime.now(UTC).isoformat(timespec="seconds"), "sha256": manifest.sha256,
            **described,
        }  # fmt: skip
        write_text(hidden / TRAINING, configuration)
        curves = _curves(run, described["command"])
        if curves is not None:
            (hidden / CURVES).write_bytes(curves)
        write_json(hidden / RECORD, record)
        load_backbone(hidden)  # what is frozen can be loaded
        maps = picture(hidden, described["training"]["data"])
        if maps is not None:
            (hidden / MAPS).write_bytes(maps)
        pictures = [name for name, found in ((CURVES, curves), (MAPS, maps)) if found is not None]
        write_text(hidden / "README.md", model_card(record, manifest, changed, latest, pictures))
    return folder, _said(chosen, latest, changed)


def _said(version: Version, latest: Version | None, changed: Change | None) -> str:
    if latest is None or changed is None:
        return f"{version}, the first of its name"
    of = ", ".join(changed.of[:6]) or "the weights alone"
    return f"{version} after {latest}: a change of {changed.level} ({of})"


def _described(run: Path) -> tuple[dict[str, Any], Manifest, str]:
    """What a store keeps of a training; the manifest of its backbone; its configuration."""
    if not (run / "backbone" / MANIFEST).is_file():
        raise UserError(
            f"--run {run}: holds no backbone of its own; give the folder of an avjepa pretrain, or of an avjepa "
            "finetune whose backbone learned"
        )
    manifest = read_backbone_manifest(run / "backbone")
    try:
        made_with = read_json(run / PROVENANCE)
        text = read_text(run / "config.yaml")
        require_bounded(text)
        configuration = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"--run {run}: its configuration or provenance cannot be read ({reason})") from error
    data = configuration.get("data") if isinstance(configuration, dict) else None
    if not isinstance(data, dict) or not isinstance(made_with, dict) or not isinstance(made_with.get("data"), dict):
        raise UserError(f"--run {run}: is not the folder of an avjepa pretrain or finetune; give one")
    if not made_with.get("finished"):
        raise UserError(f"--run {run}: this training did not end; let it, with --ckpt_path last")
    inputs = {key: data.get(key) for key in INPUTS}
    described = {
        "command": made_with.get("command"),
        "interface": {
            **manifest.facts,
            "sensors": inputs["sensors"],
            "sensor_channels": inputs["channels"],
            "classes": _classes(data),
        },
        "inputs": inputs,
        "data": made_with["data"],
        "training": configuration,
        "trained": {
            key: made_with.get(key) for key in ("steps", "seed", "wall_seconds", "processes", "hardware", "avjepa")
        },
        "parameters": manifest.parameters,
        "scores": dict(scores_of(run)),
    }
    return described, manifest, text


def _classes(data: Mapping[str, Any]) -> list[str]:
    """Of the labels that a training read; none for pre-training, which reads none."""
    if "taxonomy" not in data:
        return []
    return list(load_taxonomy(str(data["taxonomy"])).classes)


def _curves(run: Path, command: Any) -> bytes | None:
    if not (run / "metrics.csv").is_file():
        return None
    panels = PRETRAINING_PANELS if command == "pretrain" else FINETUNING_PANELS
    return chart_png_of(curves_figure({"": read_curves(run / "metrics.csv")}, panels))
