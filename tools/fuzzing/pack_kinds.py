"""Spoilt caches of moments: what ``avjepa pack`` wrote."""

import json
from pathlib import Path
from random import Random

import numpy as np

from fuzzing.files import ALWAYS_HARMFUL, spoil_file, spoil_text
from fuzzing.trial import Trial
from fuzzing.values import paths, spoilt_document
from fuzzing.world import World


def packs(random: Random, world: World) -> Trial:
    """``pack.json``, a shard's table or its arrays are damaged, or say something else."""
    path = random.choice([world.packed / "pack.json", *sorted(world.packed.glob("shard-*"))])
    harmful = False
    if path.suffix == ".bin" and random.random() < 0.5:
        change = _spoil_array(random, path)
    elif path.suffix == ".bin":
        change = spoil_file(random, path)
        harmful = change in ALWAYS_HARMFUL or change == "truncated"
    elif random.random() < 0.4:
        change = spoil_text(random, path)
        harmful = change not in ("bits flipped", "truncated")
    else:
        document = json.loads(path.read_text(encoding="utf-8"))
        change, *_, document = spoilt_document(random, document, list(paths(document)))
        path.write_text(json.dumps(document), encoding="utf-8")
    training = world.pretrain("--data.cache", str(world.packed), "--data.keyframes_only", "true")
    commands = (training, world.pack()) if random.random() < 0.5 else (training,)
    names = (path.name, str(world.packed))
    return Trial(f"{path.name}: {change}", commands, names, harmful, ("pretrain",))


def _spoil_array(random: Random, path: Path) -> str:
    """Other numbers in one of the arrays of a shard."""
    arrays = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["arrays"]
    name = random.choice([name for name, place in arrays.items() if np.prod(place["shape"])])
    length = int(np.prod(arrays[name]["shape"]))
    if name in ("global_from_level", *(f"{sensor}_points" for sensor in ("lidar", "radar"))):
        value, kind = random.choice((np.nan, np.inf, -1e30, 1e9)), "<f8" if name == "global_from_level" else "<f4"
    else:
        value, kind = random.choice((-1, 2**40, -(2**63), 7)), "<i8"
    values = np.memmap(path, kind, "r+", arrays[name]["offset"], (length,))
    values[random.randrange(length)] = value
    return f"{value} in {name}"
