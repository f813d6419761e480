"""``avjepa release train``: heads on a frozen backbone, from its maps."""

import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.own_options import split_options
from avjepa.commands.scoring import score
from avjepa.commands.shipped import configuration_file
from avjepa.commands.training import BUNDLE
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.errors import UserError
from avjepa.files import hidden_folder, read_json, write_json
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.heads.task import ScoredSplit
from avjepa.locking import locked
from avjepa.release.heads import FILE, save_heads, start_from
from avjepa.release.inputs import features_folder, inputs_of
from avjepa.release.latency import latency_of
from avjepa.release.store import (
    FORMAT_VERSION,
    RECORD,
    Store,
    lock_folder,
    read_record,
    require_free,
    require_name,
)
from avjepa.training.checkpoints import LAST
from avjepa.training.console import status
from avjepa.training.defaults import CHECKPOINTS

OWN = {
    "--backbone": "NAME of the store, its newest version, or NAME@X.Y.Z",
    "--heads": "configuration of neck and tasks, their training and what they are taught: a YAML file, or the name of "
    "one that ships",
    "--release": "name of the new release",
    "--store": "folder of the store; releases by default",
    "--start_from": "a release whose heads these start from, as far as they are alike; from the base alone by default",
    "--why": "what the release is for, in a sentence, for its note",
}
_REQUIRED = ("--backbone", "--heads", "--release")
_FIXED = (
    "--config",
    "--bundle",
    "--bundles",
    "--model.bundle",
    "--init_heads",
    "--model.init_heads",
    "--model.mode",
    "--features",
    "--out",
    "--ckpt_path",
    "--evaluate",
)
_REQUEST = "request.json"


def run_train(arguments: Sequence[str]) -> None:
    """Train heads from the kept maps of a frozen backbone, and put them into the store as a release.

    Raises:
        UserError: the release is there, the backbone is not, or an option of the training cannot be.
    """
    if "--help" in arguments or "-h" in arguments:
        print(_help())
        return
    own, rest = split_options(arguments, OWN, _REQUIRED, "release train")
    for argument in rest:
        if argument.partition("=")[0] in _FIXED:
            raise UserError(f"{argument.partition('=')[0]}: follows from --backbone and --release here; leave it out")
    store = Store(own.get("--store", "releases"))
    name = own["--release"]
    require_name("--release", name)
    backbone = store.backbone(own["--backbone"])
    previous = None if "--start_from" not in own else store.release(own["--start_from"], "--start_from")
    final = store.release_folder(name)
    require_free(final)
    hidden = hidden_folder(final)
    inputs = [f"--data.{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]}"
              for key, value in inputs_of(backbone).items()]  # fmt: skip
    heads = configuration_file(own["--heads"], "heads", "--heads ")
    fixed = ["--config", str(heads), *inputs, "--bundle", str(backbone), "--model.mode", "frozen"]
    with locked(lock_folder(final)):
        go_on = _begun(hidden, {"own": {**own, "--store": ""}, "rest": list(rest)})
        folder = "" if not go_on else "last"
        cli = _cli([*fixed, *rest, "--out", str(hidden), *(["--ckpt_path", folder] if folder else [])], store, backbone)
        _require_same_backbone(cli, previous, backbone)
        if previous is not None and not go_on:
            sha256 = str(read_record(previous, sha256=dict)["sha256"].get(FILE))
            status(f"--start_from {previous.name}: {start_from(cli.model.model, previous, sha256)}")
        seconds = _trained(cli)
        _finished(cli, hidden, backbone, own, seconds)
        store.name(hidden, final)
    print(f"{final}: release {name} of {', '.join(cli.model.tasks)} on {own['--backbone']}")


def _cli(arguments: list[str], store: Store, backbone: Path) -> FinetuneCLI:
    """The training, with the maps that the store keeps of this data set."""
    cli = FinetuneCLI("release train", FinetuneModule, DetectionDataModule, arguments)
    cli.config.features = str(features_folder(store, backbone, cli.datamodule.open()))
    return cli


def _begun(hidden: Path, request: dict[str, Any]) -> bool:
    """Whether the hidden folder holds a checkpoint of this very request; made anew where it does not."""
    try:
        same = read_json(hidden / _REQUEST) == request
    except (OSError, ValueError):
        same = False
    if same and (hidden / CHECKPOINTS / LAST).is_file():
        return True
    shutil.rmtree(hidden, ignore_errors=True)
    write_json(hidden / _REQUEST, request)
    return False


def _require_same_backbone(cli: FinetuneCLI, previous: Path | None, backbone: Path) -> None:
    if previous is None:
        return
    theirs, ours = read_record(previous, backbone=dict)["backbone"], read_record(backbone, sha256=str)
    if theirs.get("sha256") != ours["sha256"]:
        raise UserError(
            f"--start_from {previous.name}: its heads learned on {theirs.get('name')} {theirs.get('version')}, another "
            "backbone; start from the base alone, or name a release of this one"
        )


def _trained(cli: FinetuneCLI) -> dict[str, float]:
    """Train and score; seconds of each part."""
    seconds, started = {}, time.monotonic()
    cli.check(None if cli.config.ckpt_path is None else cli.out / CHECKPOINTS / LAST)
    maps = cli.kept_maps(training=True)
    assert maps is not None
    maps.of_training()
    maps.of_split(cli.datamodule.eval_split)
    seconds["maps"] = time.monotonic() - started
    started = time.monotonic()
    cli.fit()
    seconds["training"] = time.monotonic() - started
    started = time.monotonic()
    score(cli)
    seconds["evaluation"] = time.monotonic() - started
    return {name: round(value, 2) for name, value in seconds.items()}


def _finished(cli: FinetuneCLI, folder: Path, backbone: Path, own: dict[str, str], seconds: dict[str, float]) -> None:
    """Leave in the folder what a release is made of, and nothing else."""
    sha256 = save_heads(cli.model.model, folder)
    base = read_record(backbone, name=str, version=str, sha256=str)
    data = cli.datamodule
    record = {
        "format_version": FORMAT_VERSION,
        "kind": "release",
        "name": own["--release"],
        "why": own.get("--why", ""),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "backbone": {key: base[key] for key in ("name", "version", "sha256")},
        "start_from": own.get("--start_from"),
        "tasks": list(cli.model.tasks),
        "classes": list(data.taxonomy.classes),
        "split": data.eval_split,
        "scenes": len(data.train_scenes()),
        "data": cli.provenance()["data"],
        "sha256": {FILE: sha256},
        "scores": figures_of(cli, folder),
        "steps": cli.trainer.global_step,
        "seed": data.seed,
        "seconds": seconds,
        **latency_of(cli.model.model, _one_sample(cli), cli.trainer.strategy.root_device),
    }
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    shutil.rmtree(folder / BUNDLE, ignore_errors=True)
    (folder / _REQUEST).unlink(missing_ok=True)
    write_json(folder / RECORD, record)


def _one_sample(cli: FinetuneCLI) -> Batch:
    """A keyframe of the evaluated split, as the sensors gave it."""
    data = cli.datamodule
    size, data.reads_maps, data.batch_size = data.batch_size, False, 1
    batch: Batch = next(iter(data.predict_dataloader()))
    data.reads_maps, data.batch_size = True, size
    return batch


def figures_of(cli: FinetuneCLI, folder: Path) -> dict[str, dict[str, float]]:
    """The main scores of every task on the evaluated split, from its result file in a run's folder."""
    split, tasks = ScoredSplit(cli.datamodule.open(), cli.datamodule.eval_split), cli.model.tasks
    place = folder / "evaluation" / cli.datamodule.eval_split
    files = {
        name: (place if len(tasks) == 1 else place / name) / task.writer(cli.datamodule.taxonomy).file_name
        for name, task in tasks.items()
    }
    return {name: tasks[name].scorer().figures(file, split) for name, file in files.items()}


def _help() -> str:
    lines = ["usage: avjepa release train --backbone NAME --heads FILE --release NAME --data DIR [OPTIONS]", ""]
    lines += ["Train heads on a frozen backbone of the store, from its maps, and score them on data.eval_split.", ""]
    lines += [f"  {option:<14}{text}" for option, text in OWN.items()]
    lines += [
        "",
        "Every other option is one of avjepa finetune (--data, --version, --steps, --seed, --data.scenes, ...).",
    ]
    return "\n".join(lines)
