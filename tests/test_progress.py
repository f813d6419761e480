"""The progress bar: seen on a terminal, and nowhere else."""

from pathlib import Path

import pytest

from avjepa import progress
from avjepa.progress import progress_bar, reading_bar, with_bar


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "100")


def test_bar_says_what_is_done_of_how_much_and_how_long_the_rest_takes(terminal: None, capfd) -> None:
    assert list(with_bar("abc", "reading letters")) == ["a", "b", "c"]
    out, shown = capfd.readouterr()
    assert out == ""
    assert "reading letters" in shown and "3/3" in shown and "0:00:0" in shown


def test_what_was_done_before_counts(terminal: None, capfd) -> None:
    with progress_bar("scenes", 10, done=7) as advance:
        advance(1)
    assert "8/10" in capfd.readouterr().err


def test_inside_of_a_bar_none_is_shown(terminal: None, capfd) -> None:
    for _ in with_bar(range(2), "outside"):
        list(with_bar(range(3), "inside"))
    shown = capfd.readouterr().err
    assert "outside" in shown and "inside" not in shown
    list(with_bar(range(3), "afterwards"))
    assert "afterwards" in capfd.readouterr().err


def test_an_error_frees_the_line(terminal: None, capfd) -> None:
    with pytest.raises(ZeroDivisionError), progress_bar("dividing", 3):
        1 / 0  # noqa: B018
    list(with_bar(range(1), "afterwards"))
    assert "afterwards" in capfd.readouterr().err


def test_nothing_is_written_where_there_is_no_terminal(capfd) -> None:
    assert list(with_bar(iter("ab"), "reading", 2)) == ["a", "b"]
    assert capfd.readouterr().err == ""


def test_files_that_are_read_at_once_get_no_bar(
    terminal: None, tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"1234")
    with reading_bar("reading", [tmp_path / "x", tmp_path / "missing"]) as advance:
        advance(4)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(progress, "_WORTH_A_BAR", 4)
    with reading_bar("reading", [tmp_path / "x"]) as advance:
        advance(4)
    assert "4/4 bytes" in capfd.readouterr().err
