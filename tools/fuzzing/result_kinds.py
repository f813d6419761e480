"""Spoilt result files, given to ``view``."""

import json
from random import Random

from fuzzing.files import spoil_text
from fuzzing.trial import Trial
from fuzzing.values import paths, same_kind, spoilt_document
from fuzzing.world import World


def results(random: Random, world: World) -> Trial:
    """A result file that is broken, or one value of a box that is drawn."""
    path = world.root / "predictions.json"
    token = world.read_table("sample")[0]["token"]
    good = json.loads(next(world.finetuned.glob("evaluation/*/predictions.json")).read_text(encoding="utf-8"))
    boxes = [{**box, "sample_token": token} for boxes in good["results"].values() for box in boxes][:5]
    document = {"meta": good["meta"], "results": {token: boxes}}
    path.write_text(json.dumps(document), encoding="utf-8")
    command = world.view("--token", token, "--predictions", str(path), "--minimum_score", "0")
    if random.random() < 0.25:
        change = spoil_text(random, path)
        harmful = change not in ("bits flipped",)
        return Trial(f"result file: {change}", (command,), (path.name,), harmful)
    every = list(paths(document))
    of_box = [place for place in every if len(place) > 3]
    change, place, old, new, document = spoilt_document(random, document, of_box if random.random() < 0.8 else every)
    drawn = {"translation", "size", "rotation", "velocity", "detection_name", "detection_score"}
    harmful = len(place) > 3 and place[3] in drawn and not same_kind(old, new)
    path.write_text(json.dumps(document), encoding="utf-8")
    return Trial(f"result file: {change}", (command,), (path.name,), harmful)
