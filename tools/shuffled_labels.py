"""Tables of a synthetic or nuScenes-like data set whose objects carry each other's class, to see a gate stop a release.

python tools/shuffled_labels.py --data DATA --version v1.0-synth --out v1.0-careless

Writes the folder DATA/OUT beside the version; sensor files are shared.
"""

import argparse
import json
import random
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", required=True, help="name of the new version")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    before, after = options.data / options.version, options.data / options.out
    if after.exists():
        raise SystemExit(f"--out {options.out}: {after} is there already; choose another name")
    shutil.copytree(before, after, ignore=shutil.ignore_patterns(".avjepa-*"))
    path = after / "instance.json"
    instances = json.loads(path.read_text(encoding="utf-8"))
    categories = [instance["category_token"] for instance in instances]
    random.Random(options.seed).shuffle(categories)
    for instance, category in zip(instances, categories, strict=True):
        instance["category_token"] = category
    path.write_text(json.dumps(instances), encoding="utf-8")
    print(f"{after}: {len(instances)} objects with each other's class")


if __name__ == "__main__":
    main()
