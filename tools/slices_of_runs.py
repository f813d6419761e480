"""mAP of finished runs by slice, and their velocity error: python tools/slices_of_runs.py RUN ... [--split test]

Each RUN is a finished ``avjepa finetune`` that was evaluated on the split, on one data set. The slices are those of
``avjepa release compare``.
"""

import argparse
import json
import warnings
from pathlib import Path

import yaml

from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.comparing.detection import DetectionMeasure, DetectionScenes
from avjepa.evaluate.detection.result_file import read_result_file

FEWEST = 50
"""Boxes of a class, below which it has no part in the mAP of a slice."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    data = yaml.safe_load((options.runs[0] / "config.yaml").read_text(encoding="utf-8"))["data"]
    taxonomy = load_taxonomy(data["taxonomy"])
    source = open_dataset(data["dataroot"], data["version"], taxonomy=taxonomy)
    annotated = source.annotated_keyframes(source.scenes_of(options.split))
    scenes = DetectionScenes.of(annotated, taxonomy, source.scene_descriptions())
    for run in options.runs:
        (file,) = (run / "evaluation" / options.split).glob("**/predictions.json")
        boxes = read_result_file(file, taxonomy).arranged(scenes.truth.sample_tokens, 500)
        measure = DetectionMeasure(scenes, scenes.matched(boxes), FEWEST)
        errors = json.loads((file.parent / "metrics.json").read_text(encoding="utf-8"))["mean_errors"]
        print(f"{run}: mAVE {errors['vel_err']:.2f} m/s")
        for item, value in zip(measure.items, measure.values, strict=True):
            if item.group in ("mAP", "speed"):
                print(f"  {item.label:<20}{100 * float(value):6.1f}  {item.objects:,} boxes")


if __name__ == "__main__":
    main()
