"""Print what a demo measured as Markdown: python tools/summarise_demo.py demo > docs/results/demo.md."""

import argparse
import json
from pathlib import Path

from avjepa.commands.demo import FINETUNE_STEPS, LABELLED_SCENES, METHODS, SENSORS, finetune_folder, pretrain_folder
from avjepa.encoders.bundled import read_backbone_manifest
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.training.metrics import read_curves
from avjepa.training.provenance import read_provenance


def pretraining_row(out: Path, sensor: str) -> str:
    """Size, speed and collapse measures of one sensor's pre-training."""
    run = pretrain_folder(out, sensor)
    curves, record = read_curves(run / "metrics.csv"), read_provenance(run)
    batch = record["configuration"]["data"]["batch_size"]
    speed = curves["samples_per_second"][1][1:]
    step = 1000 * batch * len(speed) / sum(speed)
    last = {name: values[-1] for name, (_, values) in curves.items() if name.startswith("collapse/")}
    waiting = curves["data_wait_share"][1][1:]
    cells = (
        sensor,
        f"{read_backbone_manifest(run / 'backbone').parameters:,}",
        record["steps"],
        f"{step:.0f}",
        f"{100 * sum(waiting) / len(waiting):.1f}",
        f"{last['collapse/rank_centred']:.1f} / {last['collapse/rank_uncentred']:.1f}",
        f"{last['collapse/context_std_occupied']:.3f}",
        f"{last['collapse/cosine_loss_vs_mean_prediction_occupied']:.2f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def score_row(out: Path, sensor: str, method: str) -> str:
    """Official scores of one detector."""
    scores = DetectionScores.load(finetune_folder(out, sensor, method) / "evaluation" / "val" / "metrics.json")
    best = sorted(scores.class_ap.items(), key=lambda item: -item[1])[:3]
    named = ", ".join(f"{name.replace('_', ' ')} {100 * ap:.1f}" for name, ap in best if ap >= 0.0005)
    return f"| {sensor} | {method} | {100 * scores.mean_ap:.2f} | {100 * scores.nd_score:.2f} | {named or '–'} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder of a finished demo")
    out = parser.parse_args().demo
    record = read_provenance(pretrain_folder(out, "lidar"))
    steps = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / "steps").glob("*.json"))]
    machine = record["hardware"]
    print("# One run of `make demo`\n")
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, no GPU; torch "
        f"{record['packages']['torch']}; seed {record['seed']}. "
        "One run, one seed: differences between methods mean nothing yet.\n"
    )
    print("## Pre-training\n")
    print("Two steps of the demo run side by side, so a step takes longer here than alone.\n")
    headings = ("sensor", "parameters", "steps", "step (ms)", "waiting for data (%)", "RankMe centred / uncentred")
    print("| " + " | ".join((*headings, "std", "loss / trivial")) + " |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(pretraining_row(out, sensor) for sensor in SENSORS))
    print("\nThe std is that of L2-normalised context embeddings on occupied cells; 1/√64 = .125 is healthy.")
    print(
        "A loss / trivial of 1 or more: embeddings of hidden cells are not predicted better than by their mean, yet.\n"
    )
    print("## Detection from one sensor\n")
    print(f"Official nuScenes evaluation, {LABELLED_SCENES} labelled scenes, {FINETUNE_STEPS} steps each.\n")
    print("| sensor | backbone | mAP (%) | NDS (%) | best classes (AP, %) |\n|---|---|---|---|---|")
    print("\n".join(score_row(out, sensor, method) for sensor in SENSORS for method in METHODS))
    print("\n## Cost\n\n| step | seconds | peak memory (MiB) |\n|---|---|---|")
    print("\n".join(f"| {step['name']} | {step['seconds']:.0f} | {step['peak_mebibytes']:.0f} |" for step in steps))


if __name__ == "__main__":
    main()
