"""A training's folder when a bad file ends the training before its first checkpoint."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from avjepa.errors import BadFileError
from avjepa.provenance import FILE_NAME as PROVENANCE
from avjepa.training.checkpoints import LAST
from avjepa.training.defaults import CHECKPOINTS
from avjepa.training.metrics import FILE_NAME as METRICS

CONFIGURATION = "config.yaml"
"""The options of the training whose checkpoint lies in a folder."""


@contextlib.contextmanager
def as_it_was_without_checkpoint(out: Path) -> Iterator[None]:
    """Undo what a training within the block wrote if a bad file ends it before it has a checkpoint.

    Nobody can go on from such a training. What describes an earlier one, whose checkpoint lies there, is put back.
    """
    texts = [out / name for name in (CONFIGURATION, PROVENANCE, METRICS)]
    before = {path: path.read_bytes() for path in texts if path.is_file()}
    events = set(_events(out))
    saved = _time_of_checkpoint(out)
    try:
        yield
    except BadFileError:
        if _time_of_checkpoint(out) == saved:
            for path in {*texts, *_events(out)} - before.keys() - events:
                path.unlink(missing_ok=True)
            for path, content in before.items():
                path.write_bytes(content)
            if not events:
                with contextlib.suppress(OSError):  # there was no such folder
                    (out / "tensorboard").rmdir()
        raise


def _events(out: Path) -> Iterator[Path]:
    return out.glob("tensorboard/*")


def _time_of_checkpoint(out: Path) -> int | None:
    last = out / CHECKPOINTS / LAST
    return last.stat().st_mtime_ns if last.is_file() else None
