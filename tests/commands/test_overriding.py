"""What a later file or option says of a list of objects takes the place of what an earlier one said, wholly."""

import ast
from pathlib import Path

import pytest
import yaml

import avjepa as package
from tests.commands.test_training import CONFIGS, avjepa

STAGES = [{"share": 0.25, "learn": ["neck"], "sensors": ["lidar"]}, {"share": 0.75, "sensor_dropout": 0.5}]
SIGREG = "avjepa.pretrain.objectives.regularisers.SIGRegOptions"


def configured(command: str, *arguments: object, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    with pytest.raises(SystemExit):
        avjepa(command, "--data", "here", "--out", "there", *arguments, "--print_config")
    document: dict[str, dict[str, object]] = yaml.safe_load(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("in_a_file", [False, True])
def test_stages_of_an_override_have_nothing_of_those_before(
    in_a_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump({"model": {"stages": STAGES}}))
    second.write_text("model: {stages: [{share: 0.5}, {share: 0.5}]}")
    override = ("--config", second) if in_a_file else ("--model.stages=[{share: 0.5}, {share: 0.5}]",)
    start = ("--config", CONFIGS / "finetune" / "fusion_tiny.yaml", "--config", first)
    before = configured("finetune", *start, capsys=capsys)["model"]["stages"]
    assert before == STAGES
    after = configured("finetune", *start, *override, capsys=capsys)["model"]["stages"]
    assert after == [{"share": 0.5}] * 2


def test_regularisers_of_an_override_have_nothing_of_those_before(capsys: pytest.CaptureFixture[str]) -> None:
    option = "--model.objective.init_args.regularisers"
    first = f"{option}=[{{class_path: {SIGREG}, init_args: {{weight: 0.5, directions: 7}}}}]"
    second = f"{option}=[{{class_path: {SIGREG}, init_args: {{weight: 0.25}}}}]"
    config = ("--config", CONFIGS / "pretrain" / "lidar_tiny.yaml")
    objective = configured("pretrain", *config, first, second, capsys=capsys)["model"]["objective"]
    (regulariser,) = objective["init_args"]["regularisers"]  # type: ignore[index]
    assert regulariser["init_args"].get("directions") in (None, 256) and regulariser["init_args"]["weight"] == 0.25


def test_no_argument_is_a_list_of_objects() -> None:
    """jsonargparse would merge its items with those that they replace; it leaves those of a tuple alone."""
    files = list(Path(package.__file__).parent.rglob("*.py"))
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)} - {"Sensor"}  # a table's; else a name
    constructors = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    arguments = [argument for node in constructors for argument in (*node.args.args, *node.args.kwonlyargs)]
    lists = [
        part
        for argument in arguments
        for part in ast.walk(argument)
        if isinstance(part, ast.Subscript) and ast.unparse(part.value) == "list" and ast.unparse(part.slice) in classes
    ]
    assert len(arguments) > 500 and not [ast.unparse(part) for part in lists]
