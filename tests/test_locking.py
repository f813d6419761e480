"""A folder has one writer at a time, and a writer that died is none."""

import multiprocessing
import os
import signal
import socket
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.files import remove_leftovers, replacing
from avjepa.locking import locked

FORK = multiprocessing.get_context("fork")


def sleep_long() -> None:
    time.sleep(60)


def hold(folder: Path, holding: Event, child_pid: Path | None = None) -> None:
    with locked(folder):
        if child_pid is not None:
            child = FORK.Process(target=sleep_long)  # as a data worker, which outlives a killed parent for a while
            child.start()
            child_pid.write_text(str(child.pid))
        holding.set()
        time.sleep(60)


def test_a_second_process_is_told_who_writes(tmp_path: Path) -> None:
    holding = FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path / "run", holding))
    process.start()
    try:
        assert holding.wait(30)
        with pytest.raises(UserError) as error, locked(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.join()
    message = str(error.value)
    assert str(tmp_path / "run") in message and "\n" not in message
    assert f"process {process.pid} on {socket.gethostname()}" in message


def test_the_lock_of_a_killed_process_is_taken_over_even_if_its_children_live(tmp_path: Path) -> None:
    holding, child = FORK.Event(), tmp_path / "child"
    process = FORK.Process(target=hold, args=(tmp_path / "run", holding, child))
    process.start()
    assert holding.wait(30)
    process.kill()
    process.join()
    assert (tmp_path / "run" / ".lock").is_file(), "the dead process left its file"
    try:
        os.kill(int(child.read_text()), 0)  # the child lives
        with locked(tmp_path / "run"):
            pass
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_a_folder_is_free_again_and_clean_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path):
            _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_one_process_does_not_hold_a_folder_twice(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(UserError, match="this one"), locked(tmp_path / "x" / ".."):
            pass
        holding = FORK.Event()
        other = FORK.Process(target=hold, args=(tmp_path, holding))
        other.start()
        other.join(30)
        assert other.exitcode == 1, "the refused attempt did not free the folder for others"


def killed_while_writing(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    process = FORK.Process(target=killed_while_writing, args=(tmp_path / "last.ckpt",))
    process.start()
    process.join()
    kept = {"last.ckpt", ".hidden", "notes.part"}
    for name in kept:
        (tmp_path / name).touch()
    assert len(list(tmp_path.iterdir())) == 4
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_folders_that_were_created_for_nothing_are_removed_again(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    with locked(tmp_path / "there"):
        pass
    with locked(tmp_path / "c" / "d"):
        (tmp_path / "c" / "file").touch()
    assert (tmp_path / "there").is_dir() and [path.name for path in (tmp_path / "c").iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file/below/it: cannot be made .*choose another folder"),
        locked(tmp_path / "file" / "below" / "it"),
    ):
        pass
