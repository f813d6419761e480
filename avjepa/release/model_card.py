"""The ``README.md`` of a frozen backbone: a model card in the form that the hub shows."""

from collections.abc import Collection, Mapping
from typing import Any

import yaml

from avjepa.bundle.manifest import Manifest
from avjepa.release.versions import Change, Version

CURVES, MAPS = "curves.png", "maps.png"


def model_card(
    record: Mapping[str, Any],
    manifest: Manifest,
    changed: Change | None,
    latest: Version | None,
    pictures: Collection[str],
) -> str:
    """Markdown with a front matter.

    Args:
        record: ``release.json``.
        manifest: of the bundle.
        changed: since the version before.
        latest: that version.
        pictures: which of ``CURVES`` and ``MAPS`` lie beside it.
    """
    name, version, interface, inputs = record["name"], record["version"], record["interface"], record["inputs"]
    grid = interface["token_grid"]
    sensors = ", ".join(inputs["sensors"] or ())
    labels = f"labels of {len(interface['classes'])} classes" if interface["classes"] else "no labels"
    front = {
        "library_name": "avjepa",
        "license": "other",
        "license_name": record["licence"],
        "tags": ["autonomous-driving", "bird's-eye-view", *(inputs["sensors"] or ())],
    }
    trained = record["trained"]
    facts = {
        "sensors": sensors,
        "grid": f"x {grid['x_min']} to {grid['x_max']} m, y {grid['y_min']} to {grid['y_max']} m, in {grid['cell']} m",
        "output": f"{interface['out_channels']} channels in the gravity-aligned ego frame (x forward, y left)",
        "network": f"{manifest.architecture['class_path']}, {record['parameters']:,} numbers",
        "trained with": f"avjepa {record['command']}, {trained['steps']} steps, seed {trained['seed']}, {labels}",
        **({"learned from": ", ".join(targets)} if (targets := _targets(record)) else {}),
        "took": f"{(trained['wall_seconds'] or 0) / 60:.0f} minutes on {_hardware(trained['hardware'])}",
        "data": ", ".join(f"{key} `{str(value)[:12]}`" for key, value in record["data"].items()),
        "sha256 of the weights": f"`{record['sha256']}`",
        "licence": record["licence"],
    }
    lines = [
        "---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(), "---", "",
        f"# {name} {version}", "", record["why"] or "A backbone for bird's-eye-view perception.", "",
        "| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items()), "",
    ]  # fmt: skip
    if changed is not None and latest is not None:
        of = ", ".join(f"`{key}`" for key in changed.of[:20]) or "the weights alone"
        lines += [f"Since {latest}, a change of {changed.level}: {of}.", ""]
    if record["scores"]:
        lines += ["## Scores", "", "| evaluation | | |", "|---|---|---:|"]
        for place, figures in record["scores"].items():
            lines += [f"| {place} | {key} | {100 * value:.1f} |" for key, value in figures.items()]
        lines += ["", "In per cent, on the data that it was trained on or beside.", ""]
    if MAPS in pictures:
        lines += ["## What it makes of its input", "", f"![Input, and maps before and after the training]({MAPS})", ""]
        lines += ["The input, the map of the same network with new weights, and this backbone's: the first three "
                  "principal components as red, green and blue. Cells without data are dimmed.", ""]  # fmt: skip
    if CURVES in pictures:
        lines += ["## Training", "", f"![Curves of the training]({CURVES})", ""]
    lines += [
        "## Use", "", "```", f"avjepa release train --backbone {name}@{version} --heads configs/heads/detection.yaml "
        "--release r1 --data DATA --version V", "```", "",
        "or, in Python, `avjepa.encoders.bundled.load_backbone(folder)`, which rebuilds the network of `config.json` "
        "strictly and unpickles nothing. The configuration of the training is `training.yaml`.", "",
        "It tells nothing of what its sensors were not shown in training: other sensors, mountings, weather or places "
        "than those of its data have to be measured first.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _targets(record: Mapping[str, Any]) -> list[str]:
    """The sensors whose data a pre-training predicted, which the network itself need not read."""
    training = record.get("training")
    data = training.get("data") if isinstance(training, Mapping) else None
    found = data.get("target_sensors") if isinstance(data, Mapping) else None
    return [str(name) for name in found] if isinstance(found, list) else []


def _hardware(of: Any) -> str:
    if not isinstance(of, Mapping):
        return "a machine that is not known"
    devices = of.get("cuda_devices")
    return ", ".join(devices) if devices else f"{of.get('cores')} cores of {of.get('processor')}"
