"""Make the bundles of avjepa/zoo: pre-train without labels, freeze, measure what heads make of them, write the cards.

python tools/make_zoo.py --work DIR [--only lidar] [--install]

Goes on where it stopped. Worlds of seeds that no demo, study or test uses: 400 scenes to pre-train on, 60 others on
which detection heads are trained from the frozen maps and scored. Two hours of one core for the trainings, half an
hour for the scores; with --install the bundles replace those of the package.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from avjepa.release.store import RECORD
from avjepa.zoo import FOLDER

ROOT = Path(__file__).resolve().parents[1]
BRANCHES = ("lidar", "camera", "radar")
VERSION = "v1.0-synth"
WORLD = ("--scenes", "400", "--keyframes", "5", "--seed", "20260", "--image_width", "224", "--val_fraction", "0")
LABELLED = ("--scenes", "60", "--keyframes", "5", "--seed", "20261", "--image_width", "224", "--val_fraction", "0.34")
SEEDS, STEPS = (0, 1, 2), 400
MARK = "## What it makes of its input"
"""The section of a card before which the scores are told."""
WHY = {
    "lidar": "LiDAR, cells of 1.6 m, without labels",
    "camera": "six cameras, cells of 1.6 m, without driving labels; EfficientNet-Lite0 with ImageNet weights inside",
    "radar": "radar, cells of 1.6 m, without labels",
    "fused": "camera, LiDAR and radar in one map, any subset of them, without driving labels",
}


def avjepa(work: Path, log: str, *arguments: str) -> None:
    """Run a command in the folder, so that no path of this machine gets into what it writes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (work / f"{log}.log").open("a") as file:
        subprocess.run(
            [sys.executable, "-m", "avjepa.cli", *arguments], cwd=work, env=environment, stdout=file,
            stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip


def pretrained(work: Path, name: str) -> None:
    """The run of a bundle, finished."""
    if (work / name / "backbone" / "config.json").is_file():
        return
    shutil.copytree(ROOT / "configs", work / "configs", dirs_exist_ok=True)
    config = ("--config", f"configs/zoo/{name}_tiny.yaml", "--data", "world", "--version", VERSION, "--out", name)
    branches = () if name != "fused" else ("--bundles", ",".join(f"{one}={one}/backbone" for one in BRANCHES))
    avjepa(work, name, "pretrain", *config, *branches, "--ckpt_path", "last")


def frozen(work: Path, name: str) -> Path:
    """The frozen backbone in the store."""
    folder = work / "releases" / "backbones" / f"{name}-tiny" / "1.0.0"
    if not folder.is_dir():
        why = f"{WHY[name]}. Made by `python tools/make_zoo.py` with `configs/zoo/{name}_tiny.yaml`."
        licence = "Apache-2.0 (the image network's ImageNet weights: Apache-2.0, rwightman/gen-efficientnet-pytorch)"
        own = licence if name in ("camera", "fused") else "Apache-2.0"
        freeze = ("--run", name, "--name", f"{name}-tiny", "--half", "true", "--why", why, "--licence", own)
        avjepa(work, name, "release", "freeze", *freeze)
    return folder


def frozen_scores(work: Path, name: str) -> list[dict[str, float]]:
    """Detection by heads on the frozen maps, one entry a seed."""
    scores = []
    for seed in SEEDS:
        release = f"{name}-{seed}"
        record = work / "releases" / "releases" / release / RECORD
        if not record.is_file():
            heads = ("--backbone", f"{name}-tiny", "--heads", "configs/heads/detection_tiny.yaml", "--release", release)
            data = ("--data", "labelled", "--version", VERSION, "--steps", str(STEPS), "--seed", str(seed))
            avjepa(work, name, "release", "train", *heads, *data)
        scores.append(json.loads(record.read_text())["scores"]["detection"])
    return scores


def card(work: Path, name: str) -> None:
    """Write the scores of the heads into the model card of the frozen backbone."""
    folder, scores = frozen(work, name), frozen_scores(work, name)
    mean = {key: [100 * score[key] for score in scores] for key in ("mAP", "NDS")}
    rows = [
        f"| {key} | {statistics.mean(v):.1f} ± {statistics.stdev(v):.1f} | {', '.join(f'{x:.1f}' for x in v)} |"
        for key, v in mean.items()
    ]
    text = "\n".join(
        [
            "## Frozen", "",
            f"Detection heads (`configs/heads/detection_tiny.yaml`, {STEPS} steps) on the frozen maps, with the labels "
            "of 40 scenes of another synthetic world; 20 others scored; per cent.", "",
            "| | mean ± std | seed by seed |", "|---|---:|---|", *rows, "", MARK,
        ]
    )  # fmt: skip
    readme = folder / "README.md"
    content = readme.read_text(encoding="utf-8").replace(f"--backbone {name}-tiny@1.0.0", f"--backbone zoo:{name}-tiny")
    if "## Frozen" not in content:
        content = content.replace(MARK, text, 1)
    readme.chmod(0o644)
    readme.write_text(content, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for worlds, runs and the store")
    parser.add_argument("--only", nargs="+", choices=[*BRANCHES, "fused"], default=[*BRANCHES, "fused"])
    parser.add_argument("--until", choices=["pretrained", "card"], default="card")
    parser.add_argument("--install", action="store_true", help="put the bundles into the package")
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    avjepa(work, "world", "synth", "--out", "world", *WORLD)
    for name in options.only:
        pretrained(work, name)
        if options.until == "card":
            avjepa(work, "labelled", "synth", "--out", "labelled", *LABELLED)
            card(work, name)
        if options.install:
            shutil.rmtree(FOLDER / f"{name}-tiny", ignore_errors=True)
            shutil.copytree(frozen(work, name), FOLDER / f"{name}-tiny")
            for file in (FOLDER / f"{name}-tiny").iterdir():
                file.chmod(0o644)


if __name__ == "__main__":
    main()
