"""Spoilt configurations and options of training."""

import math
import os
from random import Random

import yaml

from fuzzing.files import spoil_file
from fuzzing.trial import Trial
from fuzzing.values import paths, spoilt_document
from fuzzing.world import CONFIGS, World

OPTIONS: dict[str, tuple[str, ...]] = {
    "--data.augmentation": ("{scale: [1.05, 0.95]}", "{rotation: .inf}", "{rotation: .nan}", "{translation: -1}", "3"),
    "--data.batch_size": ("0", "-1", "1.5", "null", ".inf"),
    "--data.workers": ("-1", "x", "1e3"),
    "--data.sensors": ("[]", "[sonar]", "lidar", "[lidar, lidar]", "null"),
    "--data.lidar_sweeps": ("0", "-3", ".nan"),
    "--data.image_size": ("[0, 0]", "[-1, 3]", "[8]", "x"),
    "--seed_everything": ("-1", "x", "99999999999999999999"),
    "--trainer.precision": ("64-true", "7", "null-mixed"),
    "--trainer.strategy": ("nothing", "fsdp", "ddp_nothing"),
    "--trainer.accelerator": ("gpu", "tpu", "nothing", "mps"),
    "--trainer.devices": ("0", "-1", "100", "x", "[7]"),
    "--trainer.num_nodes": ("0", "-1"),
    "--trainer.accumulate_grad_batches": ("0", "-1", "x"),
    "--trainer.gradient_clip_val": ("-1", ".nan", "x"),
    "--trainer.gradient_clip_algorithm": ("nothing",),
    "--trainer.max_steps": ("0", "-7", "x", "1.5", ".inf"),
    "--trainer.limit_train_batches": ("-1", "2.5", "0"),
    "--trainer.val_check_interval": ("-1", "1.7", "0"),
    "--trainer.callbacks": ("nothing.Here", "[{class_path: os.system}]", "3"),
    "--trainer.logger": ("nothing.Here", "[3]"),
    "--trainer.profiler": ("nothing",),
    "--model.learning_rate": ("-1", ".nan", ".inf", "x", "null"),
    "--model.warmup_fraction": ("-1", "2", ".nan"),
    "--model.weight_decay": ("-1", ".nan"),
    "--checkpoint_every": ("0", "-1", "x"),
    "--ckpt_path": ("nothing.ckpt", ".", "/dev/zero"),
    "--out": ("", "\0", "/proc/nothing/here", "a" * 5000),
}
"""Values that no training can use, by option."""
OF_PRETRAINING = {
    "--model.objective": ("os.system", "avjepa.encoders.lidar.LidarEncoder", "nothing.Here", "3"),
    "--model.objective.init_args.predictor": ("{width: 0}", "{dilations: [0]}", "{dilations: []}", "{width: -4}"),
    "--model.objective.init_args.encoder.init_args.token_grid.cell": ("0", "-1", ".nan", ".inf", "0.3"),
    "--model.objective.init_args.encoder.init_args.channels": ("[]", "[0]", "[-1, 2, 3]", "[16]"),
    "--model.objective.init_args.encoder.init_args.voxel_size": ("0", "-1", ".nan", ".inf", "0.3"),
    "--model.objective.init_args.encoder.init_args.z_range": ("[5, -3]", "[.nan, 1]", "[0, 0]"),
    "--model.objective.init_args.masks.init_args.sides": ("[4, 1]", "[0, 0]", "[.nan, 2]", "[-1, 1]"),
    "--model.objective.init_args.masks.init_args.occupied_ratio": ("-1", "0", "2", ".nan"),
    "--model.objective.init_args.target.init_args.momentum": ("{start: 2, end: 3}", "{start: .nan, end: 1}", "x"),
    "--model.objective.init_args.weights": ("{visible: -1}", "{visible: .nan}", "{nothing: 1}"),
    "--export": ("nothing", ""),
}
OF_FINETUNING = {
    "--model.mode": ("half_frozen", "null"),
    "--model.layer_decay": ("0", "-1", "2", ".nan"),
    "--model.backbone_learning_rate_factor": ("-1", ".nan", ".inf"),
    "--model.head_first_steps": ("-1",),
    "--model.neck.channels": ("[]", "[0]", "[-1]"),
    "--model.neck.layers": ("-1", "0"),
    "--bundle": ("nowhere", "/dev/null"),
    "--bundles": ("lidar", "lidar=", "sonar=here", "lidar=nowhere", "lidar=a,lidar=b", "{}", "3", "[lidar]"),
    "--model.stages": ("[{share: 0.5}]", "[{share: 2}]", "[{share: 1, learn: [nothing]}]", "[{share: 1, sensors: []}]"),
    "--data.train_split": ("nothing", "null"),
    "--data.scenes": ("0", "-1", "99", "[nothing]"),
}


def options(random: Random, world: World) -> Trial:
    """One option of a training has a value that it cannot have."""
    pretraining = random.random() < 0.5
    known = {**OPTIONS, **(OF_PRETRAINING if pretraining else OF_FINETUNING)}
    name = random.choice(list(known))
    value = random.choice(known[name])
    command = (world.pretrain if pretraining else world.finetune)(f"{name}={value}")
    words = (name.removeprefix("--"), name.rsplit(".", 1)[-1].removeprefix("--"), value or "''")
    return Trial(f"{command[0]} {name}={value[:80]}", (command,), words)


TEXTS: dict[str, bytes] = {
    "Latin-1": "model: {learning_rate: 0.1}  # f\xfcr".encode("latin-1"),
    "UTF-16": "model: {learning_rate: 0.1}\n".encode("utf-16"),
    "tabs": b"model:\n\tlearning_rate: 1\n",
    "a list": b"- 1\n- 2\n",
    "a text": b"hello\n",
    "empty": b"",
    "two documents": b"model: {}\n---\nmodel: {}\n",
    "code": b"model: !!python/object/apply:os.system ['touch executed']\n",
    "a bomb": b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)),
    "a merge bomb": b"a0: &a0 {x: 1}\n"
    + b"".join(b"a%d: &a%d {l: *a%d, r: *a%d}\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
    "a document that holds itself": b"model: &m\n  backbone: *m\n",
    "nested deep": b"model: " + b"[" * 20_000 + b"]" * 20_000,
    "a key twice": b"model: {learning_rate: 0.1, learning_rate: 0.2}\n",
    "a key that is a list": b"? [1, 2]\n: 3\n",
    "an unknown key": b"modle: {learning_rate: 0.1}\n",
    "a date": b"model: {learning_rate: 2001-01-01}\n",
    "a control character": b"model: {learning_rate: \x01}\n",
    "itself": b"config: itself.yaml\n",
}


def configurations(random: Random, world: World) -> Trial:
    """The YAML of a training is broken, or one of its values is not what it should be."""
    pretraining = random.random() < 0.5
    trained, train = (world.pretrained, world.pretrain) if pretraining else (world.finetuned, world.finetune)
    path = world.root / "spoilt.yaml"
    original = (trained / "config.yaml").read_text(encoding="utf-8")
    path.write_text(original, encoding="utf-8")
    if random.random() < 0.4:
        change = random.choice([*TEXTS, "file"])
        if change == "file":
            change = spoil_file(random, path)
        else:
            path.write_bytes(TEXTS[change])
        # the shipped configuration first: what is spoilt need not be complete
        return Trial(
            f"configuration: {change}", (train("--config", str(path)),), (path.name, "config", "model", "data", "modle")
        )
    document = yaml.safe_load(original)
    for key in ("out", "ckpt_path"):
        document.pop(key)
    among = [place for place in paths(document) if place[0] in ("model", "data", "modle") or random.random() < 0.3]
    change, place, old, new, document = spoilt_document(random, document, among)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    harmful = isinstance(new, float) and not math.isfinite(new) and isinstance(old, int | float) and place[0] == "model"
    key = next((str(part) for part in reversed(place) if isinstance(part, str)), "")
    names = (path.name, key, str(place[0]), *_said(new))
    return Trial(f"configuration: {change}", (train(config=path),), names, harmful)


def _said(value: object) -> tuple[str, ...]:
    """What else names a value: the text that it is, such as a file."""
    return (value,) if isinstance(value, str) and len(value) > 1 else ()


def studies(random: Random, world: World) -> Trial:
    """The YAML of a label-efficiency study is broken, or one of its values is not what it should be."""
    path = world.root / "study.yaml"
    configs = os.path.relpath(CONFIGS, world.root)
    document = yaml.safe_load(STUDY.replace("CONFIGS", configs))
    if random.random() < 0.3:
        change = random.choice([*TEXTS, "file", "itself", "itself in overrides"])
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        if change == "file":
            change = spoil_file(random, path)
        elif change == "itself":
            path.write_text(yaml.safe_dump(document | {"finetune": path.name}), encoding="utf-8")
        elif change == "itself in overrides":
            path.write_text(yaml.safe_dump(document | {"pretrain_overrides": {"model": path.name}}), encoding="utf-8")
        else:
            path.write_bytes(TEXTS[change])
        return Trial(
            f"study: {change}", (world.study(path),), (path.name,), change not in ("bits flipped", "truncated")
        )
    change, place, _, new, document = spoilt_document(random, document, list(paths(document)))
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    keys = tuple(part for part in place if isinstance(part, str))
    return Trial(f"study: {change}", (world.study(path),), (path.name, CELL, *keys, *_said(new)))


STUDY = """
sensor: lidar
finetune: CONFIGS/finetune/lidar_tiny.yaml
labels: [1]
steps: 1
pretrain_steps: [1]
modes: [frozen]
seeds: [0]
pretrain_seeds: [0]
tune: {labels: "100%", seeds: [0], frozen: [{learning_rate: 8.0e-3}], end_to_end: [{learning_rate: 4.0e-3}]}
pretrain_overrides: {data: {workers: 0, batch_size: 1}}
finetune_overrides: {data: {workers: 0, batch_size: 1}}
methods:
  jepa: {pretrain: CONFIGS/pretrain/lidar_tiny.yaml}
"""
"""A study of one cell."""
CELL = "frozen-jepa-p0-1-1scenes-s0"
"""Its name, which is said where its training fails."""
