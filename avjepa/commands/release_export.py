"""``avjepa release export``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avjepa.commands.parsing import run_function
from avjepa.errors import UserError


def export(
    release: str,
    out: Path,
    data: Path | None = None,
    version: str | None = None,
    store: Path = Path("releases"),
    onnx: bool = False,
) -> None:
    """Write one deployable artefact of a release: backbone and heads above the BEV plane, as a torch.export program.

    OUT/run.py runs it with torch and numpy alone; OUT/artefact.json says where it begins, and what goes in and out.

    Args:
        release: its name.
        out: folder of the artefact; must be new or empty.
        data: root folder of the dataset of which a keyframe becomes the example; the release's own by default.
        version: name of its folder of tables.
        store: folder of the store.
        onnx: also write dense.onnx (needs onnx and onnxscript).
    """
    from avjepa.commands.released_run import released_run
    from avjepa.release.export import DESCRIPTION
    from avjepa.release.export import export as exported
    from avjepa.release.store import Store, read_record

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: is there and not empty; choose a new folder")
    changes: dict[str, Any] = {"dataroot": data, "version": version}
    cli = released_run(Store(store), release, changes, {"accelerator": "cpu", "devices": 1})
    record = read_record(Store(store).release(release), backbone=dict)
    cli.datamodule.batch_size = 1
    cli.datamodule.setup("predict")
    batch = next(iter(cli.datamodule.predict_dataloader()))
    about = {"release": release, "backbone": record["backbone"], "sample": batch.tokens[0]}
    left_out = exported(cli.model.model, batch, out, about, onnx)
    note = f"; without {', '.join(left_out)}, which has no dense output" if left_out else ""
    print(f"{out / DESCRIPTION}: {release}{note}; python {out / 'run.py'} runs its example")


def run_export(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release export", export, arguments)
