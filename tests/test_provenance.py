"""Provenance says what a result was made with, and never leaves half a file."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

import avjepa
from avjepa import __version__
from avjepa.provenance import commit, provenance, write_provenance


def test_a_record_names_versions_hardware_seed_and_configuration(tmp_path: Path) -> None:
    record = provenance("pretrain", {"model": {"learning_rate": 0.1}}, seed=7, data={"index": "ab"})
    written = json.loads(write_provenance(tmp_path, record, wall_seconds=1.5).read_text())
    assert (written["avjepa"], written["command"]) == (__version__, "pretrain")
    assert written["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert written["configuration"] == {"model": {"learning_rate": 0.1}}
    assert (written["seed"], written["wall_seconds"], written["data"]) == (7, 1.5, {"index": "ab"})
    assert written["hardware"]["cores"] >= 1 and written["hardware"]["memory_gib"] > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]


def test_the_commit_of_a_clone_is_named_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "avjepa" / "__init__.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(avjepa, "__file__", str(module))
    commit.cache_clear()
    assert commit() is None, "an installed package has none"

    def git(*arguments: str) -> str:
        own = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run([*own, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit.cache_clear()
    assert commit() == git("rev-parse", "HEAD")
    module.write_text("changed = True\n")
    commit.cache_clear()
    assert commit() == f"{git('rev-parse', 'HEAD')} with changes"
    commit.cache_clear()
