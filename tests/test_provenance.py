"""Provenance says what a result was made with, and never leaves half a file."""

import json
from pathlib import Path

import torch

from avjepa import __version__
from avjepa.provenance import provenance, write_provenance


def test_a_record_names_versions_hardware_seed_and_configuration(tmp_path: Path) -> None:
    record = provenance("pretrain", {"model": {"learning_rate": 0.1}}, seed=7, data={"index": "ab"})
    written = json.loads(write_provenance(tmp_path, record, wall_seconds=1.5).read_text())
    assert (written["avjepa"], written["command"]) == (__version__, "pretrain")
    assert written["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert written["configuration"] == {"model": {"learning_rate": 0.1}}
    assert (written["seed"], written["wall_seconds"], written["data"]) == (7, 1.5, {"index": "ab"})
    assert written["hardware"]["cores"] >= 1 and written["hardware"]["memory_gib"] > 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]
