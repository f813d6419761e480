"""A store stays whole: whoever writes it at the same time, and wherever it is killed."""

import json
import multiprocessing
import os
import random
import signal
import stat
import time
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.files import write_json
from avjepa.release.aliases import aliases_of, history_of, point, roll_back
from avjepa.release.store import RECORD, Store, read_record, require_name


def put(store: Store, name: str, content: str = "weights", pause: float = 0.0) -> None:
    with store.new(store.release_folder(name)) as folder:
        (folder / "weights").write_text(content)
        time.sleep(pause)
        write_json(folder / RECORD, {"format_version": 1, "name": name})


def test_a_release_appears_whole_and_cannot_be_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "releases")
    put(store, "r1")
    assert store.releases() == ["r1"]
    assert not stat.S_IMODE((store.release_folder("r1") / "weights").stat().st_mode) & stat.S_IWUSR
    with pytest.raises(UserError, match="r1: is there already, and what is released is not changed"):
        put(store, "r1", "other")
    assert (store.release_folder("r1") / "weights").read_text() == "weights"
    assert sorted(path.name for path in (tmp_path / "releases" / "releases").iterdir()) == ["r1"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.new(store.release_folder("r1")) as folder:
        (folder / "half").touch()
        raise ZeroDivisionError
    assert store.releases() == [] and list(tmp_path.rglob("*")) == []


def test_names_are_found_or_listed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "r1")
    with pytest.raises(UserError, match=r"--release r2: .* holds no such release; there is r1"):
        store.release("r2")
    with pytest.raises(UserError, match=r"--backbone base: .* holds no such backbone; there is none"):
        store.backbone("base")
    for name in ("", ".hidden", "a/b", "..", "a b", "ü", "x" * 65, "end."):
        with pytest.raises(UserError, match="--name"):
            require_name("--name", name)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 9}', '{"format_version": 1, "scores": []}'])
def test_a_damaged_record_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(UserError, match=r"release\.json: ") as caught:
        read_record(tmp_path, scores=dict)
    assert "\n" not in str(caught.value)


def test_aliases_move_and_go_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UserError, match="champion has stood for nothing"):
        roll_back(store, "champion", "")
    for release in ("r1", "r2", "r3"):
        point(store, "champion", release, "")
    point(store, "candidate", "r4", "to try")
    assert roll_back(store, "champion", "worse at night") == ("r3", "r2")
    assert roll_back(store, "champion", "") == ("r2", "r1")
    with pytest.raises(UserError, match="nothing before r1"):
        roll_back(store, "champion", "")
    point(store, "champion", "r4", "")
    assert roll_back(store, "champion", "") == ("r4", "r1")
    assert aliases_of(store) == {"champion": "r1", "candidate": "r4"}
    assert history_of(store)[4]["why"] == "worse at night"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"aliases": 3}', '{"format_version": 1, "aliases": {}, "history": [1]}']
)
def test_damaged_aliases_are_one_line_and_left_as_they_are(tmp_path: Path, content: str) -> None:
    (tmp_path / "aliases.json").write_text(content)
    with pytest.raises(UserError, match=r"aliases\.json: .*put an older copy in its place"):
        point(Store(tmp_path), "champion", "r1", "")
    assert (tmp_path / "aliases.json").read_text() == content


def _write(folder: str, number: int) -> None:
    store = Store(folder)
    for turn in range(5):
        put(store, f"r-{number}-{turn}")
        point(store, "candidate", f"r-{number}-{turn}", "")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(str(tmp_path), number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    store = Store(tmp_path)
    assert len(store.releases()) == 20 and len(history_of(store)) == 20


def _work(folder: str, number: int) -> None:
    store = Store(folder)
    for turn in range(1000):
        put(store, f"r-{number}-{turn}")
        point(store, "champion", f"r-{number}-{turn}", "")


def test_it_is_valid_after_fifty_kills(tmp_path: Path) -> None:
    context, draws, store = multiprocessing.get_context("fork"), random.Random(0), Store(tmp_path)
    for number in range(50):
        process = context.Process(target=_work, args=(str(tmp_path), number))
        process.start()
        time.sleep(draws.uniform(0.005, 0.04))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        for name in store.releases():
            assert read_record(store.release_folder(name))["name"] == name
            assert (store.release_folder(name) / "weights").read_text() == "weights"
        champion = aliases_of(store).get("champion")
        assert champion is None or champion in store.releases()
    assert len(store.releases()) > 20
    put(store, "after")
    point(store, "champion", "after", "")
    assert json.loads((tmp_path / "aliases.json").read_text())["aliases"]["champion"] == "after"
