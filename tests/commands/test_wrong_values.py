"""A value that an option does not accept: one sentence says which option, what was given, and what is accepted."""

from pathlib import Path

import pytest
import yaml

from avjepa import cli
from avjepa.commands.configs import described
from avjepa.commands.wrong_values import plain
from avjepa.files import hidden_folder, with_final_names


def said(capfd, *arguments: object) -> str:
    assert cli.main([str(argument) for argument in arguments]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("avjepa: error: ")]
    assert "Union" not in line and "<class" not in line and "Parser key" not in line
    return line.removeprefix("avjepa: error: ").removesuffix("; see --help")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--data.scenes", "abc", "--data.scenes: 'abc' is not accepted; give a whole number, a list of texts or null"),
        (
            "--trainer.precision", "fp3",
            "--trainer.precision: 'fp3' is not accepted; give one of 64, 32, 16, transformer-engine, "
            "transformer-engine-float16, 16-true, 16-mixed, bf16-true, bf16-mixed, 32-true, 64-true, bf16 or null",
        ),
        ("--steps", "x", "--steps (--trainer.max_steps): 'x' is not accepted; give a whole number"),
        (
            "--data.augmentation.rotation", "x",
            "--data.augmentation: rotation of BEVAugmentation: 'x' is not accepted; give a number",
        ),
        (
            "--model.neck.init_args.layers", "x",
            "--model.neck: layers of SecondFPNOptions: 'x' is not accepted; give a whole number",
        ),
        (
            "--model.neck", "x",
            "--model.neck: 'x' is not accepted; give a file that says it or class_path and init_args",
        ),
        ("--model.stages", "x", "--model.stages: 'x' is not accepted; give a list of Stage or null"),
        (
            "--data.gt_sampling", "x",
            "--data.gt_sampling: 'x' is not accepted; "
            "give a GTSampling (class_path and init_args, or its keys) or null",
        ),
        ("--model.mode", "x", "--model.mode: 'x' is not accepted; give one of end_to_end, frozen_encoders, frozen"),
    ],
)  # fmt: skip
def test_of_a_training(tiny: Path, tmp_path: Path, capfd, option: str, value: str, words: str) -> None:
    own = ("--data", tiny, "--version", "v1.0-tiny", "--out", tmp_path / "run")
    assert said(capfd, "finetune", "lidar_tiny", *own, option, value) == words
    assert not (tmp_path / "run").exists()


def test_of_a_function(tiny: Path, capfd) -> None:
    assert said(capfd, "view", "--data", tiny, "--index", "x") == "--index: 'x' is not accepted; give a whole number"


def test_of_a_file(tiny: Path, tmp_path: Path, capfd) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"data": {"scenes": [1, 2]}}))
    line = said(capfd, "finetune", "lidar_tiny", "--config", file, "--data", tiny, "--out", tmp_path / "run")
    assert "data.scenes: '[1, 2]' is not accepted; give a whole number, a list of texts or null" in line


def test_what_is_no_wrong_value_stays_as_it_is() -> None:
    for text in ("unrecognized arguments: --x", 'Parser key "a": something new'):
        assert plain(text) == text


def test_a_long_value_is_cut() -> None:
    text = f"Parser key \"a\":\n  Expected a <class 'int'>. Got value: {'x' * 500}"
    assert plain(text) == f"--a: '{'x' * 80}…' is not accepted; give a whole number"


def test_a_hidden_folder_is_called_what_it_will_be_called() -> None:
    hidden = hidden_folder(Path("/store/releases/r1"))
    assert hidden.name == ".r1.part"
    text = f"avjepa: {hidden / 'evaluation' / 'metrics.json'}: written"
    assert with_final_names(text) == "avjepa: /store/releases/r1/evaluation/metrics.json: written"
    assert with_final_names(f"{hidden}: 3 tensors") == "/store/releases/r1: 3 tensors"
    assert with_final_names(hidden_folder(Path("1.0.0"))) == "1.0.0"
    assert with_final_names("/a/.hidden/x.part and .b") == "/a/.hidden/x.part and .b"


def test_a_configuration_is_described_by_its_whole_first_sentence(capfd) -> None:
    content = "# One of 1.6 m, and\n# two more (see a.md):\n#   avjepa pretrain\n# Another.\nmodel: 1\n"
    assert described(content) == "One of 1.6 m, and two more (see a.md)"
    assert described("model: 1\n") == ""
    assert cli.main(["configs", "list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    (lidar,) = [line for line in lines if line.startswith("finetune/lidar_coarse ")]
    assert lidar.endswith("cells of 1.6 m, one convolution as a neck, and two class groups instead of six")
