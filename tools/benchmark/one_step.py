"""A training of which single steps are timed on demand: the child process of ``training_step.py``.

python tools/benchmark/one_step.py pretrain|finetune CONFIG.yaml DATA VERSION

It runs against whatever ``avjepa`` is on the path, answers every line of its input with the seconds of one optimiser
step and its loss, and ends with its input. What is timed is the step alone, in seconds that its one thread computed:
the batch was read before.
"""

import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

import torch


def data_module(kind: str) -> type:
    """Of this kind of training, from where this commit or the older one has it."""
    place, name = {"pretrain": ("pretrain_datamodule", "PretrainDataModule")}.get(
        kind, ("detection_datamodule", "DetectionDataModule")
    )
    places = (f"avjepa.data.loading.{place}", "avjepa.data.loading.datamodule")
    module = next(place for place in places if importlib.util.find_spec(place) is not None)
    found: type = getattr(importlib.import_module(module), name)
    return found


def main() -> None:
    kind, config, data, version = sys.argv[1:]
    torch.set_num_threads(1)
    answer, sys.stdout = sys.stdout, sys.stderr  # what else is printed must not be taken for an answer
    if kind == "pretrain":
        from avjepa.commands.pretrain import PretrainCLI as Command
        from avjepa.pretrain.lightning_model import PretrainModule as Module
    else:
        from avjepa.commands.finetune import FinetuneCLI as Command
        from avjepa.finetune.lightning_model import FinetuneModule as Module

    Data = data_module(kind)
    with tempfile.TemporaryDirectory() as out:
        arguments = ["--config", config, "--data", data, "--version", version, "--out", str(Path(out) / "run")]
        cli = Command(kind, Module, Data, [*arguments, "--steps", "4", "--data.workers", "0"])
        cli.datamodule.setup("fit")
        torch.manual_seed(0)
        batch = next(iter(cli.datamodule.train_dataloader()))
    network = cli.model.objective if kind == "pretrain" else cli.model.model
    network.train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=str(cli.config.trainer.precision) == "bf16-mixed")
    steps = 0

    def step() -> float:
        nonlocal steps
        optimiser.zero_grad(set_to_none=True)
        with mixed:
            loss = network(batch).loss if kind == "pretrain" else network.loss(batch).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimiser.step()
        steps += 1
        if kind == "pretrain":
            network.after_step(steps)
        return float(loss.detach())

    for _ in sys.stdin:
        start = time.process_time()
        loss = step()
        print(json.dumps({"seconds": time.process_time() - start, "loss": loss}), file=answer, flush=True)


if __name__ == "__main__":
    main()
