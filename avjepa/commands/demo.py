"""``avjepa demo``: the project's own commands on a small synthetic world, ending in one page."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.commands.steps import Step, StepRunner
from avjepa.errors import UserError

SENSORS = ("lidar", "camera", "radar")
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
VERSION = "v1.0-synth"

SCENES, KEYFRAMES = 30, 8
LABELLED_SCENES = 8
PRETRAIN_STEPS = {"lidar": 120, "camera": 80, "radar": 120}
FINETUNE_STEPS = 150
METHODS = ("jepa", "scratch")


def demo_steps(out: Path, seed: int, sensors: Sequence[str]) -> list[Step]:
    """The commands of the demo: one synthetic world; per sensor one pre-training and two equal fine-tunings."""
    data = out / "data"
    source = ("--data", str(data), "--version", VERSION, "--seed", str(seed))
    synth = Step(
        "synth",
        ("synth", "--out", str(data), "--scenes", str(SCENES), "--keyframes", str(KEYFRAMES), "--seed", str(seed)),
    )
    steps = [synth]
    for sensor in sensors:
        config = str(CONFIGS / "pretrain" / f"{sensor}_tiny.yaml")
        length = ("--steps", str(PRETRAIN_STEPS[sensor]))
        folder = pretrain_folder(out, sensor)
        pretrain = ("pretrain", "--config", config, *source, *length, "--out", str(folder), "--ckpt_path", "last")
        steps.append(Step(f"pretrain-{sensor}", pretrain, needs=("synth",)))
    for sensor in sensors:
        config = str(CONFIGS / "finetune" / f"{sensor}_tiny.yaml")
        for method in METHODS:
            arguments: tuple[str, ...] = (
                "finetune", "--config", config, *source, "--steps", str(FINETUNE_STEPS),
                "--data.scenes", str(LABELLED_SCENES), "--out", str(finetune_folder(out, sensor, method)),
                "--ckpt_path", "last",
            )  # fmt: skip
            needs: tuple[str, ...] = ("synth",)
            if method == "jepa":
                arguments += ("--bundle", str(pretrain_folder(out, sensor) / "backbone"))
                needs = (f"pretrain-{sensor}",)
            steps.append(Step(f"finetune-{sensor}-{method}", arguments, needs))
    return steps


def pretrain_folder(out: Path, sensor: str) -> Path:
    """Where a sensor's pre-training leaves its results."""
    return out / "pretrain" / sensor


def finetune_folder(out: Path, sensor: str, method: str) -> Path:
    """Where a fine-tuning leaves its results."""
    return out / "finetune" / f"{sensor}-{method}"


def demo(out: Path = Path("demo"), seed: int = 0, sensors: list[str] = list(SENSORS)) -> None:  # noqa: B006
    """Make a synthetic world, pre-train and fine-tune every sensor's backbone on it, score, and write report.html.

    Runs the same commands that a real job uses; OUT/steps lists them. An interrupted demo continues when it is
    started again.

    Args:
        out: folder of everything the demo makes.
        seed: of the world and of all training.
        sensors: any of lidar, camera, radar.
    """
    unknown = sorted(set(sensors) - set(SENSORS))
    if unknown or not sensors:
        raise UserError(f"--sensors {sensors}: must name some of {', '.join(SENSORS)}")
    if not CONFIGS.is_dir():
        raise UserError(f"{CONFIGS}: no such folder; the demo needs a clone of the project with its configs/")
    records = StepRunner(out, slots=2).run(demo_steps(out, seed, sensors))
    from avjepa.commands.demo_report import write_report

    print(write_report(out, seed, sensors, records))


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("demo", demo, arguments)
