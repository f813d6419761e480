"""A release of a store as the trainer, model and data of the run that made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.bundle.files import load_bundled_weights
from avjepa.commands.evaluate import built_run
from avjepa.commands.finetune import FinetuneCLI
from avjepa.errors import UserError
from avjepa.model.shared_backbone import SharedBackbone
from avjepa.release.heads import FILE, load_heads
from avjepa.release.store import Store, read_record


def released_run(
    store: Store,
    name: str,
    data: Mapping[str, Any],
    trainer: Mapping[str, Any],
    out: Path | None = None,
    option: str = "--release",
) -> FinetuneCLI:
    """Everything of a release, with the weights of its backbone and of its heads.

    Args:
        store: holds it, and its backbone.
        name: of the release.
        data: options of ``data`` that are to be others than its own; ``None`` for its own.
        trainer: options of the trainer.
        out: folder for results; the release's own for ``None``.
        option: by which errors name the release.

    Raises:
        UserError: there is no such release; a file is damaged, or names code that is not trusted.
    """
    folder = store.release(name, option)
    record = read_record(folder, backbone=dict, sha256=dict)
    cli = built_run(folder, data, None, trainer, out)
    base = record["backbone"]
    place = store.backbone(f"{base.get('name')}@{base.get('version')}")
    if read_record(place, sha256=str)["sha256"] != base.get("sha256"):
        raise UserError(f"{place}: is another backbone than {name} was trained on (sha256 differs); fetch it again")
    load_bundled_weights(cli.model.model.backbone, place)
    load_heads(cli.model.model, folder, str(record["sha256"].get(FILE)))
    cli.model.model.eval()
    return cli


def released_models(store: str | Path, names: Sequence[str]) -> SharedBackbone:
    """The models of several releases of one backbone, which runs once for all of them; for use in a program.

    Args:
        store: folder of the store.
        names: of releases that share a backbone.

    Raises:
        UserError: see ``released_run`` and ``SharedBackbone``.
    """
    runs = {name: released_run(Store(store), name, {}, {"accelerator": "cpu", "devices": 1}) for name in names}
    return SharedBackbone({name: run.model.model for name, run in runs.items()})
