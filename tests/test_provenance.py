"""Provenance says what a result was made with, and never leaves half a file."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from avjepa import __version__
from avjepa.errors import UserError
from avjepa.provenance import file_fingerprints, provenance, write_provenance


def test_a_record_names_versions_hardware_seed_and_configuration(tmp_path: Path) -> None:
    record = provenance({"model": {"learning_rate": 0.1}}, seed=7, data={"sample.json": {"bytes": 2}})
    written = json.loads(write_provenance(tmp_path, record, wall_seconds=1.5).read_text())
    assert written["avjepa"] == __version__
    assert written["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert written["configuration"] == {"model": {"learning_rate": 0.1}}
    assert (written["seed"], written["wall_seconds"], written["data"]) == (7, 1.5, {"sample.json": {"bytes": 2}})
    assert written["hardware"]["cores"] >= 1 and written["hardware"]["memory_gib"] > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]


def test_fingerprints_tell_files_apart(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_bytes(b"[1]")
    (tmp_path / "scene.json").write_bytes(b"[2]")
    found = file_fingerprints([tmp_path / "scene.json", tmp_path / "sample.json"])
    assert found == {
        "sample.json": {"bytes": 3, "sha256": hashlib.sha256(b"[1]").hexdigest()},
        "scene.json": {"bytes": 3, "sha256": hashlib.sha256(b"[2]").hexdigest()},
    }


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"map\.json: cannot be read"):
        file_fingerprints([tmp_path / "map.json"])
