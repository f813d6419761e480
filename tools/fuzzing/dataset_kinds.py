"""Spoilt datasets: tables, their records, splits, caches, paths."""

import copy
import json
import os
from random import Random
from typing import Any

from fuzzing.files import spoil_file, spoil_text
from fuzzing.trial import Trial
from fuzzing.values import same_kind, spoilt
from fuzzing.world import VERSION, World

READ_FIELDS: dict[str, tuple[str, ...]] = {
    "scene": ("token", "name"),
    "sample": ("token", "timestamp", "scene_token"),
    "sample_data": (
        "token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "is_key_frame", "filename",
        "width", "height",
    ),
    "ego_pose": ("token", "translation", "rotation"),
    "calibrated_sensor": ("token", "sensor_token", "translation", "rotation", "camera_intrinsic"),
    "sensor": ("token", "channel"),
    "category": ("token", "name"),
    "instance": ("token", "category_token"),
    "sample_annotation": ("token", "sample_token", "instance_token", "translation", "size", "rotation"),
}  # fmt: skip
"""What the package cannot do without; other fields and tables are spoilt too, and may be ignored."""
OTHER_TABLES = ("attribute", "visibility", "log", "map")


def _readers(random: Random, world: World) -> tuple[tuple[str, ...], ...]:
    """``inspect``, and for one case in three a command that works with what it finds."""
    if random.random() < 0.65:
        return (world.inspect(),)
    # written elsewhere: the scores of the unspoilt data lie in the run, and are not replaced by those of other data
    evaluate = world.evaluate("--out", str(world.out))
    return world.inspect(), random.choice([world.pretrain(), world.finetune(), evaluate, world.view()])


def tables(random: Random, world: World) -> Trial:
    """A table that is broken as a file, or whose rows are doubled, swapped or gone."""
    table = random.choice([*READ_FIELDS, *OTHER_TABLES])
    path = world.tables / f"{table}.json"
    row_faults = ("a row twice", "a token twice", "a null record", "a record that is a list", "no rows", "shuffled")
    if random.random() < 0.5:
        change = random.choice(row_faults)
        rows: list[Any] = world.read_table(table)
        other = copy.deepcopy(random.choice(rows))
        match change:
            case "a row twice":
                rows.append(other)
            case "a token twice":
                rows[0]["token"] = rows[-1]["token"]
            case "a null record":
                rows[random.randrange(len(rows))] = None
            case "a record that is a list":
                rows[random.randrange(len(rows))] = list(other.values())
            case "no rows":
                rows = []
            case "shuffled":
                random.shuffle(rows)
        world.write_table(table, rows)
        # a scene table may have no rows only where nothing is to be trained on, which is a problem, too
        harmful = change != "shuffled" and len(world.read_table(table)) != 1
    else:
        change = spoil_text(random, path)
        harmful = change not in ("bits flipped", "truncated")
    harmful = harmful and table in READ_FIELDS
    return Trial(f"{table}: {change}", _readers(random, world), (".json", VERSION, "--index"), harmful, ("inspect",))


def records(random: Random, world: World) -> Trial:
    """One field of one record is not what it should be."""
    table = random.choice([*READ_FIELDS, *READ_FIELDS, *OTHER_TABLES])
    rows = world.read_table(table)
    row = random.choice(rows)
    known = [field for field in READ_FIELDS.get(table, ()) if field in row]
    field = random.choice(known if known and random.random() < 0.7 else list(row))
    old = row[field]
    if random.random() < 0.1:
        change, harmful = "deleted", True
        del row[field]
    else:
        change, row[field] = spoilt(random, old)
        harmful = not same_kind(old, row[field])
    if field == "camera_intrinsic" and not old:
        harmful = False  # nobody needs the intrinsic of a LiDAR
    if field == "token" and type(row.get(field)) is int and not _is_named(world, str(old)):
        harmful = False  # a whole number may be a token, and nothing points at the record
    world.write_table(table, rows)
    change = f"{table}.{field} of record {row.get('token')}: {change}"
    return Trial(
        change, _readers(random, world), (".json", VERSION, "--index"), harmful and field in known, ("inspect",)
    )


def _is_named(world: World, token: str) -> bool:
    """Whether any record of any table but its own points at a token."""
    return sum(path.read_text(encoding="utf-8").count(f'"{token}"') for path in world.tables.glob("*.json")) > 1


def splits(random: Random, world: World) -> Trial:
    """``splits.json`` is broken, names nobody, or names a scene twice."""
    path = world.tables / "splits.json"
    documents = {
        "overlap": {"train": ["synth-0000", "synth-0001"], "val": ["synth-0001"]},
        "unknown scene": {"train": ["synth-0000", "nowhere"], "val": ["synth-0001"]},
        "empty": {"train": [], "val": []},
        "numbers": {"train": [0], "val": [1]},
        "null": {"train": None, "val": ["synth-0001"]},
        "a scene twice": {"train": ["synth-0000", "synth-0000"], "val": ["synth-0001"]},
    }
    change = random.choice([*documents, *documents, "file"])
    if change == "file":
        change = spoil_text(random, path)
        harmful = change not in ("bits flipped", "truncated", "an empty object")
    else:
        path.write_text(json.dumps(documents[change]), encoding="utf-8")
        harmful = change != "a scene twice"
    commands = (world.inspect(), random.choice([world.pretrain(), world.finetune()]))
    names = ("splits.json", "split", "scene")
    return Trial(f"splits: {change}", commands, names, harmful and change != "missing", ("inspect",))


def caches(random: Random, world: World) -> Trial:
    """The cached index that lies beside the tables is another one's, or spoilt."""
    path = random.choice(sorted(world.tables.glob(".avjepa-*")))
    change = spoil_file(random, path)
    return Trial(f"cache {path.name}: {change}", _readers(random, world), (".json", VERSION, path.name))


def paths(random: Random, world: World) -> Trial:
    """A record's file lies elsewhere; what should be a folder is none."""
    change = random.choice(("leaves the root", "absolute", "a folder", "no root", "root is a file", "link outside"))
    commands = (world.inspect(), world.pretrain())
    harmful = True
    rows = world.read_table("sample_data")
    row = next(row for row in rows if "LIDAR_TOP" in row["filename"])
    match change:
        case "leaves the root":
            row["filename"] = "../../../../etc/passwd"
        case "absolute":
            row["filename"] = "/etc/passwd"
        case "a folder":
            row["filename"] = "samples"
        case "no root":
            os.rename(world.data, world.root / "moved")
        case "root is a file":
            os.rename(world.data, world.root / "moved")
            world.data.write_bytes(b"no folder")
        case "link outside":
            path = world.data / row["filename"]
            outside = world.root / path.name
            path.rename(outside)
            path.symlink_to(outside)
            harmful = False  # links are how people lay out their disks
    if world.tables.is_dir():
        world.write_table("sample_data", rows)
    return Trial(f"path: {change}", commands, (".json", "LIDAR_TOP", str(world.data)), harmful, ("inspect",))


def outputs(random: Random, world: World) -> Trial:
    """The place to write to is a file, lies below a file, or is a link to nothing."""
    change = random.choice(("a file", "below a file", "a dangling link", "a folder of its name"))
    out = world.out
    match change:
        case "a file":
            out.write_bytes(b"mine")
        case "below a file":
            (world.root / "file").write_bytes(b"mine")
            out = world.root / "file" / "out"
        case "a dangling link":
            out.symlink_to(world.root / "nowhere" / "nothing")
        case "a folder of its name":
            (out / "sample.png").mkdir(parents=True)
            (out / "config.yaml").mkdir(parents=True)
    commands = (
        (*world.view()[:-1], str(out / "sample.png")),
        random.choice([world.pretrain(out=out), world.finetune(out=out)]),
    )
    return Trial(f"out: {change}", commands, ("out", str(out)), harmful=change != "a dangling link")
