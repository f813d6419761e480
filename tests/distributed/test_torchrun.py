"""Two nodes, as torchrun starts them: one launcher a node, which find each other at an address."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.commands.test_label_efficiency import PRETRAIN
from tests.commands.test_training import VERSION
from tests.distributed.processes import free_port


def test_pretraining_on_two_nodes_writes_one_bundle(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(PRETRAIN))
    out = tmp_path / "run"
    meeting = ("--rdzv_backend=c10d", "--rdzv_id=test", f"--rdzv_endpoint=localhost:{free_port()}")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", *meeting]
    command = ["pretrain", "--config", tmp_path / "pretrain.yaml", "--data", tiny, "--version", VERSION, "--out", out]
    trainer = ("--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2", "--steps=1")
    whole = [*launcher, "-m", "avjepa.cli", *map(str, command), *trainer]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    nodes = [
        subprocess.Popen(whole, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    try:
        said = [node.communicate(timeout=120)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(said)
    assert json.loads((out / "provenance.json").read_text())["processes"] == 2
    assert json.loads((out / "backbone" / "backbone.json").read_text())["tensors"] > 0
    assert sum("tensors" in text for text in said) == 1, "one process writes the bundle and says so"
