"""Spoilt result files and map masks, given to ``view`` and ``reid``."""

import json
import zipfile
from pathlib import Path
from random import Random

from fuzzing.files import spoil_file, spoil_text
from fuzzing.trial import Trial
from fuzzing.values import paths, same_kind, spoilt_document
from fuzzing.world import World

CELLS = (
    "", " ", "-1", "nan", "inf", "1e999", "9" * 400, "0.5", "1_0", "\u0663", "none", "C", "\x00", "a|b", '"', "\n",
    "\r", "=1+1", "$x^2$", "\\alpha$", "x" * 10_000, "\ud7ff", "2-5", "detected",
)  # fmt: skip
"""What a cell of a table may become."""


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


def segmentations(random: Random, world: World) -> Trial:
    """A segmentation that is broken, as a file or in one value, or the map mask that it is compared with."""
    path = world.root / "segmentation.zip"
    token = world.read_table("sample")[0]["token"]
    _write_segmentation(path, token)
    command = world.view("--token", token, "--segmentation", str(path))
    names = (path.name, ".png", "map")
    if random.random() < 0.3:
        change = spoil_file(random, random.choice([path, *world.files("maps/*.png")]))
        return Trial(f"segmentation or map: {change}", (command,), names)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = random.choice(list(parts))
    if part.endswith(".json"):
        document = json.loads(parts[part])
        change, _, _, _, document = spoilt_document(random, document, list(paths(document)))
        parts[part] = json.dumps(document).encode()
    else:
        change, parts[part] = "noise", random.randbytes(random.choice((0, 10, 100_000)))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return Trial(f"segmentation, {part}: {change}", (command,), names)


def embeddings(random: Random, world: World) -> Trial:
    """A file of embeddings that is broken, or one of its values, scored and tracked; the world has no event."""
    path = world.root / "embeddings.json"
    _write_embeddings(path, world)
    scored = world.reid("--k", str(random.choice((1, 5))), "--embeddings", str(path))
    command = random.choice((scored, world.track("--embeddings", str(path))))
    if random.random() < 0.3:
        change = spoil_file(random, path)
    else:
        document = json.loads(path.read_text(encoding="utf-8"))
        change, _, _, _, document = spoilt_document(random, document, list(paths(document)))
        path.write_text(json.dumps(document), encoding="utf-8")
    return Trial(f"embeddings: {change}", (command,), (path.name, "--split"))


def tracking(random: Random, world: World) -> Trial:
    """An official file of another tracker that is broken, or one of its values, scored beside ours."""
    good, path = world.root / "embeddings.json", world.root / "tracking.json"
    _write_embeddings(good, world)
    document = json.loads(good.read_text(encoding="utf-8"))
    box = {
        "translation": [1.0, 2.0, 0.5], "size": [2.0, 4.0, 1.5], "rotation": [1.0, 0.0, 0.0, 0.0],
        "velocity": [0.0, 0.0], "tracking_id": "7", "tracking_name": "car", "tracking_score": 0.5,
    }  # fmt: skip
    results = {token: [{"sample_token": token} | box] for token in document["results"]}
    document = {"meta": {"use_lidar": True, "use_camera": False}, "results": results}
    path.write_text(json.dumps(document), encoding="utf-8")
    command = world.track("--embeddings", str(good), "--tracks", str(path))
    if random.random() < 0.3:
        change = spoil_text(random, path)
    else:
        change, _, _, _, document = spoilt_document(random, document, list(paths(document)))
        path.write_text(json.dumps(document), encoding="utf-8")
    return Trial(f"tracking: {change}", (command,), (path.name, "--split"))


def reid_tables(random: Random, world: World) -> Trial:
    """A table of re-identification that is broken, or one of its cells, summed up and added to."""
    path = world.root / "reid.csv"
    lines = [
        "sensors,method,gap,events,rank1,mAP,auroc,fpr95,seed,boxes,backbone,labels",
        "none,Kalman filter,2-5,4,50.0,0.6,0.9,0.1,0,annotated,none,0",
        "C+L,embedding,2-5,4,25.0,0.4,,,0,annotated,jepa,100",
        "C+L,embedding,2-5,4,75.0,0.8,0.7,0.2,1,annotated,jepa,100",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    commands = (world.reid("--csv", str(path)), ("reid", "summary", "--csv", str(path)))
    if random.random() < 0.4:
        change = spoil_text(random, path)
    else:
        rows = [line.split(",") for line in lines]
        row, column = random.randrange(len(rows)), random.randrange(len(rows[0]))
        old, new = rows[row][column], random.choice(CELLS)
        rows[row][column] = new
        change = f"{old!r} becomes {new[:30]!r}"
        path.write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    return Trial(f"table: {change}", commands, (path.name, "--split"))


def _write_embeddings(path: Path, world: World) -> None:
    import numpy as np

    from avjepa.data.datasets import open_dataset
    from avjepa.evaluate.reidentification.result_file import entry, write_embeddings

    source = open_dataset(*world.source()[1::2])
    tokens = source.keyframe_tokens(source.scenes_of("val"))
    box = np.array([[1.0, 2.0, 0.5, 4.0, 2.0, 1.5, 0.1, np.nan, np.nan]])
    said = json.dumps(entry(box, ["car"], ["an object"], [None], np.ones((1, 8), np.float32))).encode()
    write_embeddings(path, 8, dict.fromkeys(tokens, said), tokens, ["lidar"])


def _write_segmentation(path: Path, token: str) -> None:
    import torch

    from avjepa.evaluate.segmentation.result_file import entry, write_segmentations
    from avjepa.geometry.grid import BEVGrid
    from avjepa.heads.segmentation import SegmentedClasses
    from avjepa.heads.segmentation.prediction import Segmentation

    classes, grid = SegmentedClasses(), BEVGrid(-20.0, 20.0, -20.0, 20.0, 1.0)
    probability = torch.randint(0, 256, (2, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    entries = {token: json.dumps(entry(Segmentation(classes.names, grid, probability))).encode()}
    write_segmentations(path, classes, entries, [token, "another"], ["lidar"])
