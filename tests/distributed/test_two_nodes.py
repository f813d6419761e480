"""Two nodes of one process each, as torchrun makes their surroundings (that its launchers meet: test_cluster_files)."""

import json
from pathlib import Path

import yaml

from tests.commands.test_label_efficiency import FINETUNE
from tests.commands.test_training import VERSION, avjepa
from tests.distributed.processes import command_on_two_processes, of_two_nodes


def test_a_detector_of_two_nodes_is_scored_once_and_as_by_one_process(tiny: Path, tmp_path: Path) -> None:
    run, config = tmp_path / "run", tmp_path / "finetune.yaml"
    config.write_text(yaml.safe_dump(FINETUNE))
    options = ("--config", config, "--data", tiny, "--version", VERSION, "--out", run, "--steps=1")
    trainer = ("--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2")
    ended = command_on_two_processes("finetune", *options, *trainer, surroundings=of_two_nodes)
    assert ended.codes == [0, 0], ended.stderr
    assert json.loads((run / "provenance.json").read_text())["processes"] == 2
    assert sum("metrics.json" in text for text in ended.said) == 1, "one process scores and says so"
    results = run / "evaluation" / "val"
    by_two = json.loads((results / "predictions.json").read_text())["results"]
    scores = json.loads((results / "metrics.json").read_text())
    assert len(by_two) == scores["samples"] == 4, "every keyframe once"
    alone = tmp_path / "alone"
    assert avjepa("evaluate", "--run", run, "--out", alone, "--accelerator", "cpu", "--devices", 1) == 0
    assert json.loads((alone / "evaluation" / "val" / "predictions.json").read_text())["results"] == by_two
    again = json.loads((alone / "evaluation" / "val" / "metrics.json").read_text())
    assert (again["mean_ap"], again["nd_score"]) == (scores["mean_ap"], scores["nd_score"])
