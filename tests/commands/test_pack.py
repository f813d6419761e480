"""``avjepa pack`` and ``--data.cache``, as a user runs them."""

import json
from pathlib import Path

import pytest
import yaml

from avjepa import cli
from tests.commands.small import small
from tests.commands.test_label_efficiency import PRETRAIN
from tests.commands.test_training import CONFIGS, VERSION, avjepa


def pack(data: Path, out: Path, *more: object) -> int:
    return avjepa("pack", "--data", data, "--version", VERSION, "--out", out, "--workers", 1, *more)


def test_trainings_with_a_cache_give_what_they_give_without(tiny: Path, tmp_path: Path) -> None:
    """One cache, packed with the configuration of the pre-training, for it and for the fine-tuning."""
    (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(PRETRAIN))
    cache = tmp_path / "cache"
    assert pack(tiny, cache, "--config", tmp_path / "pretrain.yaml", "--data.split", "null") == 0
    assert small("pretrain", tiny, tmp_path / "files", "--steps", 2) == 0
    assert small("pretrain", tiny, tmp_path / "packed", "--steps", 2, "--data.cache", cache) == 0
    weights = Path("backbone") / "model.safetensors"
    assert (tmp_path / "packed" / weights).read_bytes() == (tmp_path / "files" / weights).read_bytes()
    assert small("finetune", tiny, tmp_path / "tuned", "--steps", 1, "--data.cache", cache) == 0


@pytest.mark.parametrize(
    "name", ["pretrain/radar_from_lidar_tiny", "pretrain/camera_tiny", "finetune/lidar_rare_classes"]
)
def test_the_shipped_configurations_say_what_to_pack(tiny: Path, tmp_path: Path, name: str) -> None:
    assert pack(tiny, tmp_path / "cache", "--config", CONFIGS / f"{name}.yaml") == 0
    contents = json.loads((tmp_path / "cache" / "pack.json").read_text())["contents"]
    wanted = {
        "pretrain/radar_from_lidar_tiny": ([0, -3, -6, 3, 6], 10, None),
        "pretrain/camera_tiny": ([0, -3, -6, 3, 6], None, {"height": 128, "width": 224}),
        "finetune/lidar_rare_classes": (list(range(0, -10, -1)), None, None),
    }[name]
    found = contents["lidar"], contents["radar"] and len(contents["radar"]), contents["camera"]
    assert found == wanted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workers", 0), "--workers 0: at least one process is needed"),
        (("--data.sensors", "[sonar]"), "data.sensors"),
        (("--data.split", "nowhere"), "split 'nowhere' does not exist"),
        (("--data.lidar_sweeps", 0), "lidar_sweeps: must be at least 1"),
        (("--sensors", "[lidar]"), "--data.sensors"),
        (("--config", "no.yaml"), "--config no.yaml: there is no such file"),
        (("--config", "list.yaml"), "--config list.yaml: has no section 'model'"),
    ],
)
def test_wrong_options_are_one_line(
    tiny: Path, tmp_path: Path, arguments: tuple[object, ...], said: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("list.yaml").write_text("[]")
    assert pack(tiny, tmp_path / "cache", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("avjepa: error: ") and error.count("\n") == 1 and said in error
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_none_or_holds_something_else(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    for out, said in ((tmp_path / "file", "file"), (tmp_path / "full", "full: holds thesis.tex and no cache")):
        assert pack(tiny, out) == 2
        error = capsys.readouterr().err
        assert error.startswith("avjepa: error: ") and error.count("\n") == 1 and said in error
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_an_interruption_says_that_it_can_go_on(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("avjepa.data.packed.packing.write_shard", interrupted)
    arguments = ["pack", "--data", str(tiny), "--version", VERSION, "--out", str(tmp_path / "cache"), "--workers", "1"]
    code, said = cli.outcome(arguments, debug=False)
    assert (code, said) == (130, "avjepa: interrupted; the same command goes on where it stopped")


def test_a_cache_of_another_data_set_is_refused(
    tiny: Path, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = copy / VERSION / "ego_pose.json"
    poses = json.loads(table.read_text())
    poses[0]["translation"][0] += 1
    table.write_text(json.dumps(poses))
    assert pack(copy, tmp_path / "cache") == 0
    capsys.readouterr()
    for command in ("pretrain", "finetune"):
        assert small(command, tiny, tmp_path / command, "--steps", 1, "--data.cache", tmp_path / "cache") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "cache: was packed of another data set" in error
        assert not (tmp_path / command).exists()
