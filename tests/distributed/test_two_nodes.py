"""Two nodes, as torchrun starts them: one launcher a node, which find each other at an address."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.commands.test_label_efficiency import FINETUNE
from tests.commands.test_training import VERSION, avjepa
from tests.distributed.processes import free_port


def on_two_nodes(command: str, config: dict[str, Any], data: Path, out: Path) -> list[str]:
    """Train a step on one process a node; what each node said."""
    path = out.parent / f"{command}.yaml"
    path.write_text(yaml.safe_dump(config))
    meeting = ("--rdzv_backend=c10d", "--rdzv_id=test", f"--rdzv_endpoint=localhost:{free_port()}")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", *meeting]
    options = ["--config", path, "--data", data, "--version", VERSION, "--out", out, "--steps=1"]
    trainer = ("--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2")
    whole = [*launcher, "-m", "avjepa.cli", command, *map(str, options), *trainer]
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
    return said


def test_a_detector_of_two_nodes_is_scored_once_and_as_by_one_process(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = on_two_nodes("finetune", FINETUNE, tiny, run)
    assert sum("metrics.json" in text for text in said) == 1, "one process scores and says so"
    results = run / "evaluation" / "val"
    by_two = json.loads((results / "predictions.json").read_text())["results"]
    scores = json.loads((results / "metrics.json").read_text())
    assert len(by_two) == scores["samples"] == 4, "every keyframe once"
    alone = tmp_path / "alone"
    assert avjepa("evaluate", "--run", run, "--out", alone, "--accelerator", "cpu", "--devices", 1) == 0
    assert json.loads((alone / "evaluation" / "val" / "predictions.json").read_text())["results"] == by_two
    again = json.loads((alone / "evaluation" / "val" / "metrics.json").read_text())
    assert (again["mean_ap"], again["nd_score"]) == (scores["mean_ap"], scores["nd_score"])
