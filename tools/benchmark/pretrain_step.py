"""Time whole pre-training: samples a second, share of time waiting for data, peak memory, and where a step's time goes.

python tools/benchmark/pretrain_step.py --data DIR --version V [--config FILE.yaml ...] [--device cuda]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from timing import describe, measure, print_table

from avjepa.commands.pretrain import PretrainCLI
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.training.metrics import read_curves

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"


def trained(config: Path, options: argparse.Namespace, out: str) -> tuple[PretrainCLI, tuple[object, ...]]:
    """Run the real training; its command line and a row of figures, the first logged ones left out as warm-up."""
    arguments = ["--config", str(config), "--data", str(options.data), "--version", options.version, "--out", out]
    arguments += ["--steps", str(options.steps), "--trainer.accelerator", options.device.type, "--trainer.devices", "1"]
    cli = PretrainCLI("pretrain", PretrainModule, PretrainDataModule, arguments)
    cli.fit()
    curves = read_curves(Path(out) / "metrics.csv")
    speed, waiting, memory = (
        curves[name][1][1:] for name in ("samples_per_second", "data_wait_share", "peak_memory_gib")
    )
    step = 1000 * cli.datamodule.batch_size / statistics.median(speed)
    row = (config.stem, cli.datamodule.batch_size, step, statistics.median(speed), 100 * statistics.mean(waiting))
    return cli, (*row, max(memory))


def parts(cli: PretrainCLI, device: torch.device, precision: str) -> tuple[object, ...]:
    """Milliseconds of the parts of one step on one batch."""
    objective = cli.model.objective.to(device).train()
    cli.datamodule.setup()
    batch = next(iter(cli.datamodule.train_dataloader())).to(device)
    encoder, view = objective.encoder, batch.context
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")

    tokens = encoder.tokenise(view)

    def masks() -> torch.Tensor:
        drawn = objective.masks.sample(tokens.observed, view.seeds, encoder.token_grid, view.bev_from_level[:, :2, 3])
        return tokens.realisable_mask(drawn)

    masked = masks()

    def context() -> None:
        with mixed:
            encoder.encode(tokens.without(objective.input_dropout), masked)

    def target() -> None:
        with mixed:
            objective.target(encoder, batch.target)

    def forward() -> torch.Tensor:
        with mixed:
            return objective(batch).loss

    def step() -> None:
        forward().backward()
        objective.zero_grad(set_to_none=True)

    times = [measure(part, device, repeats=5).milliseconds for part in (masks, context, target, forward, step)]
    of_masks, of_context, of_target, of_forward, of_step = times
    rest = of_forward - of_masks - of_context - of_target
    return of_masks, of_context, of_target, rest, of_step - of_forward, of_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset in nuScenes format")
    parser.add_argument("--version", default="v1.0-synth", help="name of its folder of tables")
    parser.add_argument("--config", type=Path, nargs="+", default=sorted(CONFIGS.glob("*_tiny.yaml")))
    parser.add_argument("--steps", type=int, default=40, help="steps of the run; 10 warm up")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs, shares = [], []
    for config in options.config:
        with tempfile.TemporaryDirectory() as out:
            cli, row = trained(config, options, out)
        runs.append(row)
        shares.append((config.stem, *parts(cli, options.device, str(cli.config.trainer.precision))))
    print_table(
        f"Pre-training, {options.steps} steps: {describe(options.device)}",
        ("configuration", "batch", "step (ms)", "samples a second", "waiting for data (%)", "peak memory (GiB)"), runs,
    )  # fmt: skip
    print_table(
        "Where a step's time goes (ms a batch)",
        ("configuration", "masks", "context encoder", "target encoder", "predictor, loss", "backward", "sum"), shares,
    )  # fmt: skip


if __name__ == "__main__":
    main()
