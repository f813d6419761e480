"""``avjepa release evaluate``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avjepa.commands.parsing import run_function


def evaluate(
    release: str,
    data: Path | None = None,
    version: str | None = None,
    split: str | None = None,
    store: Path = Path("releases"),
    accelerator: str = "auto",
    devices: str = "auto",
    fast: bool = False,
    overwrite: bool = False,
    out: Path | None = None,
) -> None:
    """Predict a split with a release, through its backbone, and score every task of it.

    Args:
        release: its name.
        data: root folder of another dataset; the release's own by default.
        version: name of its folder of tables.
        split: the split to score; that of the release by default.
        store: folder of the store.
        accelerator: "cpu", "gpu" or what else Lightning knows.
        devices: how many, or which as in "0,2".
        fast: score detections with our own evaluator, which gives the devkit's numbers without loading its tables.
        overwrite: replace results of other data that lie there.
        out: folder for the results, below its evaluation/; by default the release's, which "release compare" reads.
    """
    from avjepa.commands.released_run import released_run
    from avjepa.commands.scoring import require_own_results, score
    from avjepa.release.store import Store

    changes: dict[str, Any] = {"dataroot": data, "version": version, "eval_split": split}
    cli = released_run(Store(store), release, changes, {"accelerator": accelerator, "devices": devices}, out)
    with cli.folder_held():
        if cli.trainer.is_global_zero and not overwrite:
            require_own_results(cli)
        score(cli, fast)


def run_evaluate(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release evaluate", evaluate, arguments)
