"""Spoilt runs of a detector, and choices of sensors that are none, given to ``evaluate`` and ``robustness``."""

import json
from pathlib import Path
from random import Random

import yaml

from fuzzing.files import ALWAYS_HARMFUL, spoil_file, spoil_text
from fuzzing.trial import Trial
from fuzzing.values import paths, spoilt_document
from fuzzing.world import World

SENSORS = ("", ",", "lidar,", "lidar,lidar", "radar", "lidar,radar", "sonar", "LIDAR", "lidar radar", "[lidar]", "3")
"""Choices that a run of the LiDAR alone cannot be scored with."""
OPTIONS = {
    "--run": ("nowhere", "data", "/dev/null", ""),
    "--seed": ("-1", "x", "1.5", ".nan"),
    "--split": ("nothing", "", "../val"),
    "--checkpoint": ("nothing.ckpt", ".", "/dev/zero"),
    "--model": ("\udcff", "a\nb"),
    "--publish": ("/proc/nothing/here", "/dev/null"),
    "--accelerator": ("nothing", "tpu"),
    "--devices": ("0", "x", "[7]"),
    "--out": ("/proc/nothing/here", "\0"),
}
"""Values that no run can be scored with."""
_FIGURES = {"made_with": {"weights": "", "data": {}, "seed": 0}, "figures": {"detection": {"mAP": 0.5, "NDS": 0.5}}}
_TABLE = "model,sensors,degradation,seed,mAP,NDS,IoU\nfinetuned,L,none,0,12.5,20.0,\nother,C+L,night,1,3.0,,\n"


def runs(random: Random, world: World) -> Trial:
    """A choice of sensors or an option that a run cannot be scored with, or a broken file of the run."""
    what = random.choice(("sensors", "option", "configuration", "file", "figures", "table"))
    match what:
        case "sensors":
            value = random.choice(SENSORS)
            return Trial(f"--sensors={value!r}", (world.evaluate(f"--sensors={value}"),), ("--sensors",), harmful=True)
        case "option":
            name = random.choice(list(OPTIONS))
            value = random.choice(OPTIONS[name])
            words = (name, name.removeprefix("--"), str(Path(value).parent) if value.startswith("/") else value or "''")
            return Trial(f"robustness {name}={value!r}", (world.robustness(f"{name}={value}"),), words, harmful=True)
        case "configuration":
            return _configuration(random, world)
        case "file":
            path = random.choice([world.finetuned / "checkpoints" / "last.ckpt", world.finetuned / "config.yaml"])
            change = spoil_file(random, path)
            words = (path.name, str(world.finetuned), "checkpoint")
            return Trial(f"{path.name}: {change}", (world.robustness(),), words, change in ALWAYS_HARMFUL)
        case "figures":
            path = world.finetuned / "robustness" / "val" / "L_none" / "figures.json"
            return _spoilt(random, path, json.dumps(_FIGURES), world.robustness())
    path = world.root / "published" / "robustness.csv"
    return _spoilt(random, path, _TABLE, world.robustness("--publish", str(path.parent)))


def _configuration(random: Random, world: World) -> Trial:
    """A value of the run's configuration that is not what it should be."""
    path = world.finetuned / "config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    among = [place for place in paths(document) if place[0] in ("model", "data")]
    change, place, _, new, document = spoilt_document(random, document, among)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    keys = tuple(part for part in place if isinstance(part, str))
    said = (new,) if isinstance(new, str) and len(new) > 1 else ()
    command = random.choice((world.evaluate("--overwrite"), world.robustness()))
    return Trial(f"configuration of the run: {change}", (command,), (path.name, *keys, *said))


def _spoilt(random: Random, path: Path, content: str, command: tuple[str, ...]) -> Trial:
    """A file of an earlier run of the command, spoilt: done again, or refused."""
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    return Trial(f"{path.name}: {spoil_text(random, path)}", (command,), (path.name,))
