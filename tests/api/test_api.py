"""The functions are the commands: same files, same errors."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import avjepa
from avjepa import api
from avjepa.cli import COMMANDS, main
from tests.data.conftest import VERSION, tiny

__all__ = ["tiny"]

TINY = {
    "data.workers": 0, "data.batch_size": 2, "trainer.accelerator": "cpu", "trainer.devices": 1,
    "steps": 1, "version": VERSION,
}  # fmt: skip


def test_pretraining_by_function_and_by_command_are_equal_to_the_byte(tiny: Path, tmp_path: Path) -> None:
    run = avjepa.pretrain("radar_tiny", tiny, tmp_path / "function", seed=3, **TINY)
    options = [f"--{name}={value}" for name, value in TINY.items()]
    assert (
        main(["pretrain", "radar_tiny", "--data", str(tiny), "--out", str(tmp_path / "command"), "--seed=3", *options])
        == 0
    )
    weights = "backbone/model.safetensors"
    assert (run.folder / weights).read_bytes() == (tmp_path / "command" / weights).read_bytes()
    assert (run.backbone / "config.json").is_file()

    detector = avjepa.finetune("radar_tiny", tiny, tmp_path / "detector", bundle=run.backbone, **TINY)
    assert 0 <= detector.metrics("val")["mean_ap"] <= 1
    with pytest.raises(avjepa.UserError, match="scored are evaluation/val"):
        detector.metrics("test")
    avjepa.evaluate(detector, split="train", fast=True)
    assert "mean_ap" in detector.metrics("train")


def test_a_room_is_still_a_room_after_it_was_called() -> None:
    from avjepa.pretrain.masking.generators import MultiBlock

    assert callable(avjepa.pretrain) and MultiBlock.__module__ == "avjepa.pretrain.masking.generators"


def test_inspection_is_a_dictionary(tiny: Path) -> None:
    assert avjepa.inspect(tiny, version=VERSION, fast=True)


def test_a_mistake_raises_the_line_of_the_command(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(avjepa.UserError, match="did you mean lidar_tiny"):
        avjepa.pretrain("lidar_tyni", tiny, tmp_path / "out")
    with pytest.raises(avjepa.UserError, match="stepz"):
        avjepa.pretrain("lidar_tiny", tiny, tmp_path / "out", stepz=1)
    assert not (tmp_path / "out").exists()


def test_every_command_that_does_a_job_has_its_function() -> None:
    functions = {name.replace("-", "_") for name in COMMANDS} - {"configs", "zoo"}  # these print lists
    assert functions <= set(avjepa.__all__) <= set(api.__all__)
    assert all(inspect.isfunction(getattr(api, name)) for name in functions)


def test_importing_the_package_is_quick_and_loads_no_torch() -> None:
    code = "import sys, avjepa, avjepa.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
