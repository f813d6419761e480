"""The walk through four releases of docs/how-to/release-cycle.md, command by command, on a small world."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from avjepa import cli
from avjepa.evaluate.comparing import examples
from avjepa.release.aliases import aliases_of
from avjepa.release.store import Store

ROOT = Path(__file__).resolve().parents[2]
SMALLER = {
    "--scenes 60 --keyframes 5 --seed 11 --image_width 224 --val_fraction 0.4": (
        "--scenes 6 --keyframes 2 --seed 11 --image_width 64 --val_fraction 0.17 --workers 1"
    ),
    "configs/encoder/lidar_coarse.yaml": "encoder.yaml",
    "--steps 400 --out PRETRAINED": "--steps 1 --data.workers 0 --out PRETRAINED",
    "--data.scenes 10 --steps 300": "--data.scenes 2 --steps 20 --data.eval_split train",
    "--steps 300": "--steps 160 --data.eval_split train",
    "--steps 400": "--steps 25 --data.eval_split train --data.clips.length 2",
    " --heads configs/heads/detection_tiny.yaml --processes 2": " --heads configs/heads/detection_tiny.yaml",
    "release compare r2 r4": "release compare r2 r4 --gate gate.yaml",
    "configs/": f"{ROOT}/configs/",
    "tools/": f"{ROOT}/tools/",
}
"""A world, a network and trainings that take seconds; heads are scored on what they were taught."""
ENCODER = {
    "class_path": "avjepa.encoders.lidar.LidarEncoder",
    "init_args": {
        "token_grid": {"x_min": -25.6, "x_max": 25.6, "y_min": -25.6, "y_max": 25.6, "cell": 1.6},
        "voxel_size": 0.8, "voxel_height": 1.0, "z_range": [-3.0, 5.0], "channels": [16, 16], "blocks": [0, 0],
        "strides": [1, 2], "overlapping": False, "bev_channels": [32, 32], "bev_blocks": [0, 0], "out_channels": 32,
    },
}  # fmt: skip


MARGINS = {"mAP": 0.0, "mAP by boxes": 0.0, "class": 0.02, "slice": 0.02, "mIoU": 0.1, "IoU": 0.1, "rank1": 0.1}
GATE = {"confidence": 0.8, "most_loss": MARGINS, "fewest_objects": 20, "fewest_scenes": 4, "draws": 200, "seed": 0}
"""For detectors that hardly find anything yet."""


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "how-to" / "release-cycle.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.strip().splitlines()]


def test_four_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("encoder.yaml").write_text(yaml.safe_dump(ENCODER))
    Path("gate.yaml").write_text(yaml.safe_dump(GATE))
    monkeypatch.setattr(examples, "_WORSE", 1)  # pictures of one keyframe a comparison, or two
    monkeypatch.setattr(examples, "_BETTER", 1)
    stopped, champions, done = [], {}, []
    for line in commands():
        for longer, shorter in SMALLER.items():
            line = line.replace(longer, shorter)
        program, *arguments = shlex.split(line)
        if program == "python":
            monkeypatch.setattr(sys, "argv", arguments)
            try:
                runpy.run_path(arguments[0], run_name="__main__")
            except SystemExit as end:
                assert not end.code, line
            continue
        code = cli.main(arguments)
        if code == 1 and arguments[:2] == ["release", "compare"]:
            stopped.append(arguments[2:])
        else:
            assert code == 0, (line, capsys.readouterr().err)
        done.append(arguments[1])
        champions[len(done)] = aliases_of(Store("releases")).get("champion")
    assert {"freeze", "cache", "train", "promote", "compare", "note", "evaluate", "export"} <= set(done)
    assert [names[:2] for names in stopped] == [["r2", "r4"]], "the gate stops the shuffled labels, and nothing else"
    assert champions[len(done)] == "r2"
    record = json.loads(Path("releases/releases/r3/release.json").read_text())
    assert record["tasks"] == ["detection", "segmentation", "reidentification"]
    own = ["--data", "DATA", "--version", "v1.0-synth", "--gate", "gate.yaml"]
    assert cli.main(["release", "promote", "r4", *own]) == 1
    assert aliases_of(Store("releases"))["champion"] == "r2"
    assert cli.main(["release", "roll-back"]) == 0
    assert aliases_of(Store("releases"))["champion"] == "r1"
