"""Spoilt networks: manifests, weights, checkpoints."""

import hashlib
import json
import math
import pickle
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fuzzing.files import ALWAYS_HARMFUL, spoil_file, spoil_text
from fuzzing.trial import Trial
from fuzzing.values import SCALARS, paths, spoilt_document
from fuzzing.world import World

PLANTED = "planted_by_the_fuzzer"
"""A module in the world's folder that writes a file when it is imported."""
STRANGERS = (
    f"{PLANTED}.Encoder", "os.system", "subprocess.Popen", "builtins.eval", "torch.nn.Linear", "Encoder", "",
    "avjepa.errors.UserError", "avjepa.cli.main", "avjepa.nowhere.Nothing", "avjepa.geometry.grid.BEVGrid",
)  # fmt: skip
"""Class paths that no manifest may name."""


def _from_bundle(world: World) -> tuple[str, ...]:
    return world.finetune("--bundle", str(world.pretrained / "backbone"))


def manifests(random: Random, world: World) -> Trial:
    """``config.json`` is broken, says something else, or names a class from anywhere."""
    folder = world.pretrained / "backbone"
    path = folder / "config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    classes = [place for place in paths(document) if place[-1] == "class_path" and "provenance" not in place]
    if random.random() < 0.25:
        change = spoil_text(random, path)
        harmful = change not in ("bits flipped", "truncated")
        return Trial(f"manifest: {change}", (_from_bundle(world),), (path.name, str(folder)), harmful)
    if random.random() < 0.3:
        (world.root / f"{PLANTED}.py").write_text(
            f"from pathlib import Path\nPath({str(world.root / 'executed')!r}).touch()\n", encoding="utf-8"
        )
        name = random.choice(STRANGERS)
        place = random.choice(classes)
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        holder["class_path"] = name
        change, harmful = f"{'.'.join(map(str, place))}: {name!r}", True
    else:
        among = [place for place in paths(document) if place[0] != "provenance"]
        change, place, old, new, document = spoilt_document(random, document, among)
        harmful = place[0] in ("class_path", "sha256", "tensors", "format_version") and type(old) is not type(new)
    path.write_text(json.dumps(document), encoding="utf-8")
    return Trial(
        f"manifest: {change}",
        (_from_bundle(world),),
        (path.name, str(folder)),
        harmful,
        forbidden=(str(world.root / "executed"),),
    )


def weights(random: Random, world: World) -> Trial:
    """``model.safetensors`` is damaged, or another one whose checksum the manifest has."""
    folder = world.pretrained / "backbone"
    path = folder / "model.safetensors"
    change = random.choice(("file", "NaN", "infinity", "shape", "type", "gone", "one more", "renamed", "header"))
    harmful = True
    if change == "file":
        change = spoil_file(random, path)
    elif change == "header":
        content = path.read_bytes()
        length = random.choice((0, 1, 2**63, 10**12, struct.unpack("<Q", content[:8])[0] + 1))
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        change = f"header of {length} bytes"
    else:
        tensors = load_file(path)
        change = f"{_spoil_tensors(random, tensors, change)}: {change}"
        save_file(tensors, path)
    if path.is_file() and path.stat().st_size < 1e9 and not path.is_symlink() and random.random() < 0.7:
        _sign(folder / "config.json", path)
        harmful = harmful and change != "bits flipped"
    return Trial(f"weights: {change}", (_from_bundle(world),), (path.name, str(folder)), harmful)


def _spoil_tensors(random: Random, tensors: dict[str, Any], change: str) -> str:
    """Spoil one of them in place; returns its name."""
    name = random.choice([name for name, tensor in sorted(tensors.items()) if tensor.is_floating_point()])
    tensor = tensors[name].clone()
    match change:
        case "NaN" | "infinity":
            tensor.view(-1)[random.randrange(tensor.numel())] = math.nan if change == "NaN" else math.inf
            tensors[name] = tensor
        case "shape":
            tensors[name] = tensor[None].clone()
        case "type":
            tensors[name] = tensor.to(random.choice((torch.int64, torch.bool, torch.complex64, torch.uint8)))
        case "gone":
            del tensors[name]
        case "one more":
            tensors["one.more"] = tensor
        case "renamed":
            tensors["renamed"] = tensors.pop(name)
    return name


def _sign(manifest: Path, weights_file: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["sha256"] = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content), encoding="utf-8")


class _Executes:
    """What a pickle of it does when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def checkpoints(random: Random, world: World) -> Trial:
    """``last.ckpt`` is damaged, another kind's, lacks an entry, or holds what cannot be loaded."""
    trained = random.choice((world.pretrained, world.finetuned))
    path = trained / "checkpoints" / "last.ckpt"
    executed = world.root / "executed"
    content = torch.load(path, weights_only=True)
    harmful = True
    change = random.choice(
        ("file", "NaN", "infinity", "shape", "type", "gone", "one more", "entry", "entry", "entry", "inner", "inner",
         "another kind", "code", "no dictionary", "bare weights", "pickle")
    )  # fmt: skip
    match change:
        case "file":
            change = spoil_file(random, path)
            harmful = change in ALWAYS_HARMFUL
        case "NaN" | "infinity" | "shape" | "gone" | "one more" | "type":
            change = f"{_spoil_tensors(random, content['state_dict'], change)}: {change}"
            harmful = "type" not in change
            torch.save(content, path)
        case "entry":
            name = random.choice(list(content))
            word, value = random.choice([("gone", None), *SCALARS.items()])
            del content[name]
            if word != "gone":
                content[name] = value
            change, harmful = f"{name}: {word}", name == "state_dict"
            torch.save(content, path)
        case "inner":
            name = random.choice([name for name in content if isinstance(content[name], dict | list) and content[name]])
            places = [place for place in paths(content[name])]
            change, *_, content[name] = spoilt_document(random, content[name], places)
            change, harmful = f"{name}.{change}", False
            torch.save(content, path)
        case "another kind":
            other = world.finetuned if trained == world.pretrained else world.pretrained
            path.write_bytes((other / "checkpoints" / "last.ckpt").read_bytes())
        case "code":
            torch.save({**content, "more": _Executes(executed)}, path)
        case "no dictionary":
            torch.save([content], path)
        case "bare weights":
            torch.save(content["state_dict"], path)
        case "pickle":
            path.write_bytes(pickle.dumps({"state_dict": {}, "more": _Executes(executed)}))
    if trained == world.finetuned:
        evaluate = world.evaluate()
        resume = world.finetune("--ckpt_path", str(path), "--trainer.max_steps", "2")
        commands = (evaluate, resume) if random.random() < 0.5 else (evaluate,)
        watchers: tuple[str, ...] = ("evaluate",)
    else:
        commands = (world.pretrain("--ckpt_path", str(path), "--trainer.max_steps", "2"),)
        watchers = ()
    return Trial(
        f"{trained.name} checkpoint: {change}", commands, (path.name, "ckpt_path", "checkpoint"), harmful, watchers,
        (str(executed),),
    )  # fmt: skip
