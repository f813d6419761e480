"""The demo's plan: equal terms for both methods, and nothing that starts before what it needs."""

from pathlib import Path

from avjepa.commands.demo import SENSORS, demo_steps


def test_methods_differ_in_the_pretrained_weights_alone(tmp_path: Path) -> None:
    steps = {step.name: step for step in demo_steps(tmp_path, 3, SENSORS)}
    for sensor in SENSORS:
        jepa = list(steps[f"finetune-{sensor}-jepa"].arguments)
        scratch = list(steps[f"finetune-{sensor}-scratch"].arguments)
        weights = jepa.index("--bundle")
        assert jepa[weights + 1] == str(tmp_path / "pretrain" / sensor / "backbone")
        del jepa[weights : weights + 2]
        jepa[jepa.index("--out") + 1] = scratch[scratch.index("--out") + 1] = "anywhere"
        assert jepa == scratch


def test_every_step_waits_for_what_it_reads(tmp_path: Path) -> None:
    steps = demo_steps(tmp_path, 0, ["lidar"])
    done: set[str] = set()
    for step in steps:
        assert set(step.needs) <= done
        done.add(step.name)
    assert {step.name: step.needs for step in steps}["finetune-lidar-jepa"] == ("pretrain-lidar",)


def test_pretraining_gets_no_label_option(tmp_path: Path) -> None:
    for step in demo_steps(tmp_path, 0, SENSORS):
        if step.arguments[0] == "pretrain":
            assert "--data.scenes" not in step.arguments, "all training scenes, unlabelled"
