"""``avjepa release``: freeze, cache, train, evaluate, list, promote, roll back, as a team does it."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from avjepa.commands.released_run import released_models, released_run
from avjepa.errors import UserError
from avjepa.release.inputs import inputs_of
from avjepa.release.store import Store
from tests.commands.test_training import VERSION, avjepa, pretrain

HEADS = {
    "model": {
        "neck": {
            "class_path": "avjepa.model.neck.SecondFPNOptions",
            "init_args": {"channels": [8], "layers": 1, "out_channels": 8},
        },
        "tasks": {
            "detection": {
                "class_path": "avjepa.evaluate.detection.DetectionTask",
                "init_args": {
                    "head": {
                        "class_path": "avjepa.heads.detection.CenterPointOptions",
                        "init_args": {"shared_channels": 8, "channels": 8},
                    }
                },
            }
        },
    },
    "data": {"augmentation": {"rotation": 0.3, "draws": 1}, "batch_size": 2, "workers": 0},
    "trainer": {"max_steps": 2, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained")
    assert pretrain(tiny, out, "lidar", "--steps", 1) == 0
    return out


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("heads") / "heads.yaml"
    file.write_text(yaml.safe_dump(HEADS))
    return file


def train(tiny: Path, store: Path, heads: Path, name: str, *more: object, backbone: str = "base") -> int:
    common = ("--backbone", backbone, "--heads", heads, "--store", store, "--release", name)
    return avjepa("release", "train", *common, "--data", tiny, "--version", VERSION, *more)


@pytest.fixture(scope="module")
def store(tiny: Path, run: Path, heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("store") / "releases"
    common = ("--run", run, "--name", "base", "--store", folder)
    assert avjepa("release", "freeze", *common, "--why", "For tests.", "--licence", "CC0") == 0
    assert train(tiny, folder, heads, "r1") == 0
    assert train(tiny, folder, heads, "r2", "--start_from", "r1", "--seed", 1) == 0
    return folder


def test_a_frozen_backbone_is_a_bundle_with_a_card_that_cannot_be_written(store: Path, run: Path) -> None:
    folder = store / "backbones" / "base" / "1.0.0"
    names = {path.name for path in folder.iterdir()}
    files = {"config.json", "model.safetensors", "release.json", "training.yaml"}
    assert names == files | {"README.md", "curves.png", "maps.png"}
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o222 for path in folder.iterdir())
    assert (folder / "model.safetensors").read_bytes() == (run / "backbone" / "model.safetensors").read_bytes()
    record = json.loads((folder / "release.json").read_text())
    assert record["inputs"]["sensors"] == ["lidar"] and record["interface"]["classes"] == []
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert (front["library_name"], front["license_name"]) == ("avjepa", "CC0")
    for said in ("# base 1.0.0", "For tests.", "51.2", "no labels", record["sha256"], "1 steps"):
        assert said in card, said


def test_a_card_is_written_without_a_picture_where_the_data_are_gone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    configuration = yaml.safe_load((moved / "config.yaml").read_text())
    configuration["data"]["dataroot"] = "gone"
    (moved / "config.yaml").write_text(yaml.safe_dump(configuration))
    store = ("--store", tmp_path / "store")
    assert avjepa("release", "freeze", "--run", moved, "--name", "base", "--half", "true", *store) == 0
    assert "the card has no picture of maps: gone" in capsys.readouterr().err
    folder = tmp_path / "store" / "backbones" / "base" / "1.0.0"
    assert "maps.png" not in {path.name for path in folder.iterdir()}
    assert "maps.png" not in (folder / "README.md").read_text()
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, run / "backbone")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_release_is_scored_and_holds_heads_alone(store: Path) -> None:
    folder = store / "releases" / "r2"
    record = json.loads((folder / "release.json").read_text())
    assert record["tasks"] == ["detection"] and set(record["scores"]["detection"]) >= {"mAP", "NDS"}
    assert (record["start_from"], record["seed"], record["steps"]) == ("r1", 1, 2)
    assert record["latency_ms"] > 0 and record["seconds"]["training"] > 0
    assert all(name.startswith(("neck.", "heads.")) for name in load_file(folder / "heads.safetensors"))
    assert not (folder / "checkpoints").exists() and not (folder / "request.json").exists()
    assert (folder / "evaluation" / "val" / "predictions.json").is_file()
    (features,) = (store / "features").iterdir()
    manifests = [json.loads(path.read_text()) for path in features.glob("*.json") if path.name != "features.json"]
    assert sum(len(shard["maps"]) for shard in manifests) == 4 + 4, "both releases read the maps of the first"


def test_heads_of_releases_share_a_backbone_and_keep_their_outputs_to_the_bit(store: Path) -> None:
    alone = {name: released_run(Store(store), name, {}, {"accelerator": "cpu"}) for name in ("r1", "r2")}
    data = alone["r1"].datamodule
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    shared = released_models(store, ["r1", "r2"])
    together = shared.predict(batch)
    states = [run.model.model.neck.state_dict() for run in alone.values()]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0]), "two releases"
    for name, run in alone.items():
        expected = run.model.model.predict(batch)["detection"]
        for one, other in zip(expected, together[name]["detection"], strict=True):
            assert torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores)


def test_it_is_scored_through_its_backbone_as_from_its_maps(store: Path, tmp_path: Path) -> None:
    assert avjepa("release", "evaluate", "--release", "r1", "--store", store, "--out", tmp_path, "--fast") == 0
    again = json.loads((tmp_path / "evaluation" / "val" / "metrics.json").read_text())
    before = json.loads((store / "releases" / "r1" / "evaluation" / "val" / "metrics.json").read_text())
    assert again["mean_ap"] == pytest.approx(before["mean_ap"], abs=0.02)


def test_maps_are_computed_by_two_processes_and_read_by_a_training(
    tiny: Path, store: Path, heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "releases"
    shutil.copytree(store / "backbones", own / "backbones")
    common = ("--backbone", "base@1.0.0", "--data", tiny, "--version", VERSION, "--store", own)
    assert avjepa("release", "cache", *common, "--heads", heads, "--processes", 2) == 0
    assert "8 maps" in capsys.readouterr().out
    assert train(tiny, own, heads, "r1") == 0
    assert "computing about" not in capsys.readouterr().err


def test_the_champion_goes_back(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "releases"
    shutil.copytree(store, own)
    for release in ("r1", "r2"):
        assert avjepa("release", "promote", release, "--to", "candidate", "--store", own) == 0
    assert avjepa("release", "list", "--store", own, "--verify") == 0
    assert "candidate" in capsys.readouterr().out
    assert avjepa("release", "roll-back", "--of", "candidate", "--store", own, "--why", "worse") == 0
    assert capsys.readouterr().out == "candidate: r1, before r2\n"


def test_what_cannot_be_is_one_line(
    tiny: Path, store: Path, run: Path, heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(named: str, *arguments: object) -> None:
        assert avjepa("release", *arguments) == 2
        error = capsys.readouterr().err
        assert named in error and len(error.strip().splitlines()) == 1, error

    own = ("--store", store)
    refused("did you mean 'freeze'", "freez")
    refused("base 1.0.0 holds these very weights already", "freeze", "--run", run, "--name", "base", *own)
    refused("base 1.0.0 is there already", "freeze", "--run", run, "--name", "base", *own, "--version", "1.0.0")
    refused("--name '../x'", "freeze", "--run", run, "--name", "../x", *own)
    refused("holds no backbone of its own", "freeze", "--run", tmp_path, "--name", "x", *own)
    refused("holds no such backbone; there is base@1.0.0", "cache", "--backbone", "other", "--data", tiny, *own)
    refused("holds no such release; there is r1, r2", "promote", "r3", *own)
    refused("--to king: there are candidate and champion", "promote", "r1", "--to", "king", *own)
    refused("--release: must be given", "train", "--backbone", "base", "--heads", heads, *own)
    refused("--store none: there is no such folder", "list", "--store", "none")
    refused("split val has one scene", "compare", "r1", "r2", *own)
    for option in ("--out", "--bundle", "--model.mode"):
        assert train(tiny, store, heads, "r3", option, "x") == 2
        assert f"{option}: follows from" in capsys.readouterr().err
    assert train(tiny, store, heads, "r1") == 2
    assert "what is released is not changed" in capsys.readouterr().err
    assert not (store / "releases" / ".r3.part").exists()


@pytest.mark.parametrize("damage", ["heads", "backbone", "code"])
def test_a_damaged_or_foreign_release_is_refused(
    store: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "releases"
    shutil.copytree(store, own)
    for path in own.rglob("*"):
        path.chmod(0o755)
    folder = own / "releases" / "r1"
    if damage == "heads":
        (folder / "heads.safetensors").write_bytes(b"x")
    elif damage == "backbone":
        content = json.loads((own / "backbones" / "base" / "1.0.0" / "release.json").read_text())
        (own / "backbones" / "base" / "1.0.0" / "release.json").write_text(json.dumps({**content, "sha256": "0"}))
    else:
        config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
        config["model"]["neck"]["class_path"] = "os.system"
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert avjepa("release", "evaluate", "--release", "r1", "--store", own, "--out", tmp_path / "out") == 2
    expected = {"heads": "sha256 differs", "backbone": "sha256 differs", "code": "not in avjepa"}
    assert expected[damage] in capsys.readouterr().err


def test_heads_of_another_backbone_are_no_start(store: Path) -> None:
    with pytest.raises(UserError, match="holds no such release"):
        released_models(store, ["r9"])


def test_an_exported_release_runs_without_avjepa(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "artefact"
    assert avjepa("release", "export", "--release", "r1", "--store", store, "--out", out) == 0
    about = json.loads((out / "artefact.json").read_text())
    assert about["inputs"].keys() == {"lidar"} and "detection.codes" in about["outputs"]
    code = (
        "import sys, runpy; sys.modules['avjepa'] = None; sys.argv = ['x']; runpy.run_path('run.py', None, '__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "outputs, largest difference" in done.stdout
    assert avjepa("release", "export", "--release", "r1", "--store", store, "--out", out) == 2


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"sensors": ["lidar"], "radar_filter": {"class_path": "no_such.Code"}}, "names no_such.Code"),
        ({"sensors": 3}, "sensors must name some"),
        ({"sensors": ["lidar"], "dataroot": "/etc"}, ""),
    ],
)
def test_a_store_that_is_handed_over_brings_no_code_along(
    tiny: Path, store: Path, heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    inputs: dict[str, Any], named: str,
) -> None:  # fmt: skip
    own = tmp_path / "releases"
    shutil.copytree(store / "backbones", own / "backbones")
    path = own / "backbones" / "base" / "1.0.0" / "release.json"
    content = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps({**content, "inputs": inputs}))
    if not named:  # what says nothing of the sensors is left out
        assert inputs_of(path.parent) == {"sensors": ["lidar"]}
        return
    assert train(tiny, own, heads, "r1") == 2
    error = capsys.readouterr().err
    assert named in error and len(error.strip().splitlines()) == 1
    assert not (own / "releases").exists()
