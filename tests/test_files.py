"""Files are whole or absent, and an error of writing says which file it was."""

import errno
import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from avjepa.cli import one_line
from avjepa.files import read_csv, replacing, write_json, write_text
from avjepa.training.event_files import EventFiles
from avjepa.training.metrics import MetricsFile


def on_a_full_disk(write: Callable[[Path], object], folder: Path) -> None:
    """The kernel refuses bytes beyond a limit, as a full disk does; what the user reads goes to ``folder/said``."""
    with (folder / "said").open("w") as said, (folder / "printed").open("w") as printed:
        sys.stderr = printed
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            write(folder)
        except OSError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            said.write(one_line(error) or "nothing")


def log_event(folder: Path) -> None:
    logger = EventFiles(str(folder))
    for step in range(20):
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()


def log_row(folder: Path) -> None:
    for step in range(50):
        MetricsFile(str(folder)).log_metrics({"loss": 1.0}, step)


WRITERS: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: write_text(folder / "config.yaml", "x" * 10_000), "config.yaml"),
    (lambda folder: write_json(folder / "provenance.json", ["x"] * 10_000), "provenance.json"),
    (log_row, "metrics.csv"),
    (log_event, "tensorboard"),
]


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=[name for _, name in WRITERS])
def test_a_full_disk_names_the_file(tmp_path: Path, write: Callable[[Path], object], name: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=on_a_full_disk, args=(write, tmp_path))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    said = (tmp_path / "said").read_text()
    assert f"{tmp_path / name}" in said and "no space left" in said and ".part" not in said
    assert (tmp_path / "printed").read_text() == ""
    assert not list(tmp_path.glob(".*.part"))


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "out.json"):
        (tmp_path / "source").read_text()
    assert error.value.filename == str(tmp_path / "source")
    with pytest.raises(OSError) as full, replacing(tmp_path / "out.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(tmp_path / "out.json")


def test_a_table_is_read_whole_or_its_fault_is_said(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('a,b\n1,"x, y"\n2\n')
    assert read_csv(table) == (("a", "b"), [{"a": "1", "b": "x, y"}, {"a": "2", "b": None}])
    table.write_text("")
    assert read_csv(table) == ((), [])
    table.write_text("a\n" + "[" * 200_000)
    with pytest.raises(ValueError, match="field larger than field limit"):
        read_csv(table)
    table.unlink()
    os.mkfifo(table)
    with pytest.raises(OSError, match="no regular file"):
        read_csv(table)
