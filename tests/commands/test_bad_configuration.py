"""Configurations that no training can use: one line that names the file or the option, before anything is written."""

from pathlib import Path

import pytest

from avjepa import cli
from tests.commands.test_bad_input import refused
from tests.commands.test_training import finetune, pretrain
from tests.test_bounded_yaml import LAUGHS

PREDICTOR = "--model.objective.init_args.predictor"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.augmentation={scale: [1.05, 0.95]}"], ["augmentation.scale"]),
        (["--data.augmentation={rotation: .inf}"], ["augmentation.rotation"]),
        ([f"{PREDICTOR}={{width: 0}}"], ["predictor.width"]),
        ([f"{PREDICTOR}={{dilations: [0]}}"], ["predictor.dilations"]),
        (["--model.learning_rate=.nan"], ["model.learning_rate"]),
        (["--model.learning_rate=1e5"], ["model.learning_rate: must be above 0 and at most 1"]),
        (["--model.weight_decay=1e5"], ["model.weight_decay: must be at least 0 and at most"]),
        (["--trainer.accumulate_grad_batches=0"], ["trainer.accumulate_grad_batches"]),
        (["--trainer.limit_train_batches=0"], ["trainer.limit_train_batches"]),
        (["--seed_everything=-1"], ["seed_everything"]),
        (["--seed_everything=4294967296"], ["seed_everything"]),
        (["--trainer.precision=64-true"], ["trainer.precision", "32-true"]),
        (["--trainer.strategy=nothing"], ["strategy", "nothing"]),
        (["--trainer.accelerator=tpu"], ["trainer", "tpu"]),
        (["--trainer.accelerator=nothing"], ["accelerator", "nothing"]),
        (["--checkpoint_every=0"], ["checkpoint_every"]),
        (["--trainer.limit_predict_batches=0.5"], ["trainer.limit_predict_batches"]),
        (["--model.objective.init_args.prediktor.width=3"], ["did you mean 'predictor'?"]),
        (["--data.lidar_sweeps=-1"], ["lidar_sweeps", "-1"]),
        (["--data.target_sweeps_before=-1"], ["data.target_sweeps_before: must be at least 0"]),
        ([f"--data.batch_size={10**6}"], ["data.batch_size: must be at least 1 and at most"]),
        ([f"--data.workers={10**400}"], ["data.workers: must be a finite number"]),
        ([f"--data.image_size=[{10**30}, 8]"], ["image_size"]),
        ([f"--trainer.accumulate_grad_batches={10**30}"], ["trainer.accumulate_grad_batches: must be a finite number"]),
        (["--model.objective.init_args.encoder.init_args.token_grid.x_max=1e300"], ["token_grid.x_max: must be"]),
        (["--model.objective.init_args.masks.init_args.sides=[1, 1e9]"], ["MultiBlock.sides"]),
        (["--model.objective.init_args.input_dropout=1.5"], ["JEPA.input_dropout: must be at least 0 and below 1"]),
        (["--trainer.devices=1000", "--trainer.accelerator=cpu"], ["trainer.devices", "got 1000"]),
        (["--model.objective.init_args.weights=[1]"], ["weights: needs keys and values as of CellWeights, got [1]"]),
        (["--model.objective.init_args.masks.init_args.occupied_ratio=null"], ["occupied_ratio"]),
        ([f"{PREDICTOR}=null"], ["predictor: needs keys and values as of PredictorOptions, got None"]),
    ],
)
def test_value_that_no_training_can_use(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options, words
) -> None:
    refused(capfd, pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, *options), *words)
    assert not (tmp_path / "out").exists()


def test_what_a_backbone_says_of_its_arguments_is_said_and_no_more(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """``model.backbone`` may also be none, and of such an argument jsonargparse tells everything that it tried."""
    stages = "--model.backbone.init_args.backbone.out_indices=[3,2]"
    code = finetune(tiny, tmp_path / "out", "camera", "--steps", 1, stages)
    assert code == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error == "avjepa: error: backbone.out_indices: [3, 2] must be ascending stage numbers from 1 on"


@pytest.mark.parametrize(
    ("content", "words"),
    [("lidar: [A, A]\n", "'A'"), ("lidars: [A]\n", "'lidars'"), ("- A\n", "mapping"), ("lidar: [\n", "YAML")],
)
def test_bad_file_of_channels_is_named_with_its_option(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text(content)
    code = pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, "--data.channels", path)
    refused(capfd, code, "--data.channels", str(path), words)
    (tmp_path / "run.yaml").write_text("data:\n  channels: channels.yaml\n")
    code = pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, "--config", tmp_path / "run.yaml")
    refused(capfd, code, "run.yaml", "data.channels", str(path), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("model: {learning_rate: 0.1}  # für".encode("latin-1"), "UTF-8"),
        ("model: {learning_rate: 0.1}".encode("utf-16"), "UTF-8"),
        (LAUGHS.encode(), "anchors"),
        (b"model: &m {backbone: *m}", "anchor"),
        (b"data: 0", "data.dataroot"),
        (b"data: {batchsize: 3}", "did you mean --data.batch_size?"),
        (b"modle: {learning_rate: 0.1}", "did you mean --model"),
        (b"model: !!python/object/apply:os.system ['true']", "python/object"),
    ],
)
def test_file_that_is_no_configuration(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, word: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    refused(capfd, finetune(tiny, tmp_path / "out", "lidar", "--steps", 1, "--config", path), word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("section", ["data", "trainer"])
def test_section_that_is_none(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], section: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{section}: 0")
    config = Path(__file__).parents[2] / "configs" / "finetune" / "lidar_tiny.yaml"
    given = ["--config", config, "--config", path, "--data", tiny, "--out", tmp_path / "out", "--steps", 1]
    refused(capfd, cli.main(["finetune", *map(str, given)]), f"{section}: a configuration file")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("class_path: avjepa.encoders.lidar.LidarEncodr\n", "no attribute 'LidarEncodr'"),
        ("class_path: avjepa.encoders.lidar.LidarEncoder\ninit_args: {blokcs: [1]}\n", "did you mean 'blocks'"),
        ("class_path: not_there.Encoder\n", "--trust not_there"),
    ],
)
def test_what_is_wrong_in_the_file_of_an_encoder_is_said(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    encoder = ("--model.objective.init_args.encoder", tmp_path / "mine.yaml")
    code = pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, *encoder)
    refused(capfd, code, "mine.yaml: Problem with given class_path", words)


@pytest.mark.parametrize("section", ["model", "data", "trainer"])
def test_option_that_does_not_exist_and_is_empty(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], section: str
) -> None:
    (tmp_path / "more.yaml").write_text(f"{section}: {{sampling: {{}}}}\n")
    options = ("--config", tmp_path / "more.yaml", "--steps", 1)
    refused(capfd, pretrain(tiny, tmp_path / "out", "lidar", *options), f"{section}.sampling: there is no such option")
    assert not (tmp_path / "out").exists()


def test_data_is_a_folder(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.yaml").write_text(f"dataroot: {tiny}\n")
    refused(capfd, pretrain(tmp_path / "data.yaml", tmp_path / "out", "lidar", "--steps", 1), "data.yaml: is no folder")


def test_a_file_that_is_not_there_is_named_with_the_file_that_names_it(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.yaml").write_text("model: {objective: {init_args: {encoder: ../encoder/lidar_corse.yaml}}}\n")
    code = pretrain(tiny, tmp_path / "out", "lidar", "--config", tmp_path / "more.yaml", "--steps", 1)
    refused(capfd, code, f"{tmp_path / 'more.yaml'}: names ../encoder/lidar_corse.yaml, and there is no file of that")
