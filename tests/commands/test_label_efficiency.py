"""The command on two scenes and a grid small enough to train for two steps."""

import json
import multiprocessing
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml

from avjepa import cli
from avjepa.commands.configurations import merged
from avjepa.commands.study import StudyConfig
from avjepa.commands.study_builder import ConfiguredBuilder
from avjepa.encoders.bundled import load_backbone, load_encoder
from avjepa.errors import UserError
from avjepa.fusion import FusedBackbone
from avjepa.study.jobs import Pretraining, Run, Setting
from avjepa.study.summary import COLUMNS, read_table
from tests.data.conftest import VERSION, build

STUDIES = Path(__file__).parents[2] / "configs" / "label_efficiency"
GRID = {"x_min": -16.0, "x_max": 16.0, "y_min": -12.8, "y_max": 12.8, "cell": 1.6}
ENCODER = {
    "class_path": "avjepa.encoders.lidar.LidarEncoder",
    "init_args": {
        "token_grid": GRID, "voxel_size": 0.8, "voxel_height": 1.0, "z_range": [-3.0, 5.0], "channels": [8, 8],
        "blocks": [0, 0], "strides": [1, 2], "overlapping": False, "bev_channels": [8, 8], "bev_blocks": [0, 0],
        "out_channels": 8,
    },
}  # fmt: skip
PRETRAIN = {
    "model": {
        "objective": {
            "class_path": "avjepa.pretrain.objectives.jepa.JEPA",
            "init_args": {
                "encoder": ENCODER,
                "masks": {"class_path": "avjepa.pretrain.masking.generators.MultiBlock"},
                "target": {"class_path": "avjepa.pretrain.objectives.targets.EMATargetOptions"},
                "predictor": {"width": 8, "dilations": [1]},
            },
        }
    },
    "data": {"sensors": ["lidar"], "batch_size": 2, "workers": 0},
    "trainer": {"accelerator": "cpu"},
}
HEAD = {
    "class_path": "avjepa.heads.detection.CenterPointOptions",
    "init_args": {"shared_channels": 8, "channels": 8},
}
FINETUNE = {
    "model": {
        "backbone": ENCODER,
        "neck": {
            "class_path": "avjepa.model.neck.SecondFPNOptions",
            "init_args": {"channels": [8], "layers": 1, "out_channels": 8},
        },
        "tasks": {"detection": {"class_path": "avjepa.evaluate.detection.DetectionTask", "init_args": {"head": HEAD}}},
    },
    "data": {"sensors": ["lidar"], "lidar_sweeps": 1, "batch_size": 2, "workers": 0},
    "trainer": {"accelerator": "cpu"},
}
STUDY = {
    "sensor": "lidar",
    "finetune": "finetune.yaml",
    "labels": [1, "100%"],
    "steps": 2,
    "pretrain_steps": [2],
    "seeds": [0],
    "pretrain_seeds": [0],
    "tune": {
        "labels": 1,
        "frozen": [{"learning_rate": 1e-3}],
        "end_to_end": [{"learning_rate": 1e-3}, {"learning_rate": 2e-3, "head_first_steps": 1}],
    },
    "methods": {"scratch": {}, "jepa": {"pretrain": "pretrain.yaml", "export": "target.teacher"}},
}


def with_objective(changes: dict[str, object]) -> dict[str, object]:
    """A study whose method changes the objective of its pre-training."""
    return {"methods": {"jepa": {"pretrain": "pretrain.yaml", "overrides": {"model": {"objective": changes}}}}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes to train on; one of them stands in for the others, which is enough to see that all fits together."""
    root = build(tmp_path_factory.mktemp("tiny") / "data", channels=("LIDAR_TOP",))
    splits = {"train": ["scene-0000", "scene-0001"], "val": ["scene-0000"], "test": ["scene-0001"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for name, content in (("pretrain", PRETRAIN), ("finetune", FINETUNE), ("study", STUDY)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "study.yaml"


def test_a_study_without_a_detection_is_refused_before_anything_is_trained(
    study: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segmentation = {"class_path": "avjepa.evaluate.segmentation.SegmentationTask", "init_args": {"head": {}}}
    tasks = {"ground": segmentation, "boxes": FINETUNE["model"]["tasks"]["detection"]}
    content = {**FINETUNE, "model": {**FINETUNE["model"], "tasks": tasks}}
    (study.parent / "finetune.yaml").write_text(yaml.safe_dump(content))
    source = ("--data", dataset, "--version", VERSION, "--out", tmp_path / "out")
    assert cli.main(list(map(str, ("label-efficiency", "--config", study, *source)))) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "none of boxes, ground is a DetectionTask of the name 'detection'" in said
    assert not (tmp_path / "out").exists()


def test_a_study_of_channels_with_other_names(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = build(tmp_path / "data", channels=("LIDAR_TOP",))
    sensors = data / VERSION / "sensor.json"
    sensors.write_text(sensors.read_text().replace('"channel": "LIDAR_TOP"', '"channel": "ROOF"'))
    arguments = ["label-efficiency", "--config", study, "--data", data, "--version", VERSION, "--split", "val"]
    arguments += ["--out", tmp_path / "out"]
    small = {"labels": [1], "modes": ["end_to_end"], "tune": STUDY["tune"] | {"end_to_end": [{"learning_rate": 1e-3}]}}
    study.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | small))
    assert cli.main(list(map(str, arguments))) == 2
    said = capsys.readouterr().err
    assert "no lidar channel (LIDAR_TOP)" in said and "ROOF" in said and said.count("\n") == 1

    (study.parent / "channels.yaml").write_text("lidar: [ROOF]\n")
    for name in ("pretrain", "finetune"):
        content = yaml.safe_load((study.parent / f"{name}.yaml").read_text())
        content["data"]["channels"] = "channels.yaml"
        (study.parent / f"{name}.yaml").write_text(yaml.safe_dump(content))
    assert cli.main(list(map(str, arguments))) == 0
    assert {row.method for row in read_table(tmp_path / "out" / "label_efficiency.csv")} == {"scratch", "jepa"}


def test_two_workers_make_the_records_of_one(
    study: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # forked: a fresh interpreter would spend most of the test importing; test_study_faults has the real one
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: fork)
    tune = STUDY["tune"] | {"end_to_end": [{"learning_rate": 1e-3}]}
    small = yaml.safe_load(study.read_text()) | {"labels": [2], "modes": ["end_to_end"], "tune": tune}
    study.write_text(yaml.safe_dump(small))
    found = []
    for processes in ("1", "2"):
        out = tmp_path / f"by {processes}"
        arguments = ["--config", study, "--data", dataset, "--version", VERSION, "--out", out, "--processes", processes]
        assert cli.main(["label-efficiency", *map(str, arguments)]) == 0
        outcomes = {path.name: json.loads(path.read_text()) for path in (out / "outcomes").iterdir()}
        for outcome in outcomes.values():
            outcome.pop("seconds")
            outcome.pop("pretrain_seconds", None)
        bundles = {
            path.parent.parent.name: path.read_bytes() for path in (out / "work").glob("*/backbone/*.safetensors")
        }
        found.append((outcomes, bundles))
    assert found[0] == found[1] and len(found[0][1]) == 2


def test_a_small_study_from_pretraining_to_claims(
    study: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, published = tmp_path / "out", tmp_path / "published"
    arguments = ["label-efficiency", "--config", str(study), "--data", str(dataset), "--version", VERSION]
    arguments += ["--out", str(out), "--publish", str(published)]
    assert cli.main(arguments) == 0
    rows = read_table(out / "label_efficiency.csv")
    # 2 methods x 2 label amounts x 2 modes x 1 seed
    assert len({(r.method, r.scenes, r.mode) for r in rows}) == len(rows) == 8
    assert {(r.scenes, r.fraction) for r in rows} == {(1, 0.5), (2, 1.0)}
    assert {(r.method, r.pretrain_steps) for r in rows} == {("scratch", 0), ("jepa", 2)}
    assert all(r.steps == 2 and 0 <= r.mAP <= 1 and r.hardware for r in rows)
    assert (out / "label_efficiency.csv").read_text().splitlines()[0].split(",") == list(COLUMNS)
    summary = (out / "summary.md").read_text()
    assert "8 of 8 cells" in summary and "## Claims" in summary
    assert (published / "label_efficiency.csv").is_file()
    outcomes = {path.name: path.read_bytes() for path in (out / "outcomes").iterdir()}
    assert len(outcomes) == 2 + 2 * 2 + 8  # backbones, trials of both methods end to end, cells
    cells = [json.loads(content) for name, content in outcomes.items() if name.startswith(("frozen", "end_to_end"))]
    assert {outcome["split"] for outcome in cells} == {"test"}
    trials = [json.loads(content) for name, content in outcomes.items() if name.startswith("tune")]
    assert {outcome["split"] for outcome in trials} == {"val"}
    subsets = {outcome["scenes"]: set(outcome["scene_names"]) for outcome in cells}
    assert subsets[1] < subsets[2] == {"scene-0000", "scene-0001"}
    assert not list((out / "leases").iterdir()), "every lease was released"
    assert not list((out / "features").iterdir()), "no maps stay that nobody needs"
    assert capsys.readouterr().err.rstrip().endswith("all jobs done")

    assert cli.main(arguments) == 0
    assert {path.name: path.read_bytes() for path in (out / "outcomes").iterdir()} == outcomes, "nothing is done twice"

    # a report of what there is, without doing what is missing
    missing = next((out / "outcomes").glob("frozen-jepa-*"))
    kept = missing.read_bytes()
    missing.unlink()
    assert cli.main([*arguments, "--report_only"]) == 0
    assert "7 of 8 cells" in (out / "summary.md").read_text()
    assert not missing.exists()
    missing.write_bytes(kept)

    # outcomes of another study are not mixed in
    changed = yaml.safe_load(study.read_text())
    changed["methods"]["jepa"]["overrides"] = {"model": {"learning_rate": 0.5}}
    study.write_text(yaml.safe_dump(changed))
    assert cli.main(arguments) == 2
    assert "another 'methods.jepa'" in capsys.readouterr().err


def test_a_frozen_backbone_is_replaced_by_its_maps(study: Path, dataset: Path, tmp_path: Path) -> None:
    """Training batches find their maps by moment and augmentation, without a sensor file being opened."""
    content = {**FINETUNE, "data": FINETUNE["data"] | {"augmentation": {"rotation": 0.3}}}
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(content))
    builder = ConfiguredBuilder(StudyConfig.read(study), {"dataroot": str(dataset), "version": VERSION})
    backbone = Pretraining("scratch", 3, 0)
    builder.pretrain(backbone, tmp_path / "scratch")
    bundle, cell = tmp_path / "scratch" / "backbone", Run(backbone, "frozen", 1, 0, steps=6)
    kept, above_itself = (
        builder.detector(cell, Setting(1e-3), bundle, features, "test", tmp_path / "cell")
        for features in (tmp_path / "features", None)
    )
    for part in ("neck", "heads"):
        states = [getattr(made.module.model, part).state_dict() for made in (kept, above_itself)]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[1]), "they start alike"
    assert kept.maps is not None and above_itself.maps is None
    kept.maps.of_training()
    assert kept.data.augmentation is not None and kept.data.augmentation.draws == 3, "12 of 4 keyframes of one scene"
    batch = next(iter(kept.data.train_dataloader()))
    assert batch.lidar is None and batch.labels is not None
    assert not any(torch.equal(pose, torch.eye(4)) for pose in batch.bev_from_level)
    above_itself.data.augmentation = kept.data.augmentation
    above_itself.data.setup("fit")
    seen = next(iter(above_itself.data.train_dataloader()))
    assert seen.lidar is not None and torch.equal(seen.bev_from_level, batch.bev_from_level)
    above_itself.module.model.backbone.load_state_dict(load_encoder(bundle).state_dict())
    maps = [made.module.model.eval()(given) for made, given in ((kept, batch), (above_itself, seen))]
    torch.testing.assert_close(*maps, rtol=2e-3, atol=1e-3)


def test_a_backbone_of_several_branches_from_nothing(study: Path, dataset: Path, tmp_path: Path) -> None:
    """What a check of the study has parsed does not stay within the configuration that the backbone is built from."""
    fused = {
        "class_path": "avjepa.fusion.FusedBackbone",
        "init_args": {
            "branches": {"lidar": ENCODER}, "channels": 8, "adapter_blocks": 0,
            "fuser": {"class_path": "avjepa.fusion.MaskedMeanOptions"},
            "bev_channels": [8], "bev_blocks": [0], "out_channels": 8,
        },
    }  # fmt: skip
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(merged(FINETUNE, {"model": {"backbone": fused}})))
    content = {**STUDY, "methods": {"scratch": {}}}
    study.write_text(yaml.safe_dump(content))
    builder = ConfiguredBuilder(StudyConfig.read(study), {"dataroot": str(dataset), "version": VERSION})
    builder.check()
    builder.pretrain(Pretraining("scratch", 3, 0), tmp_path / "scratch")
    backbone = load_backbone(tmp_path / "scratch" / "backbone")
    assert isinstance(backbone, FusedBackbone) and list(backbone.branches) == ["lidar"]


def test_one_study_of_two_datasets(
    study: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a name and a page of its own, and both have rows in the joint table."""
    tune = STUDY["tune"] | {"end_to_end": [{"learning_rate": 1e-3}]}
    small = {"labels": [1], "modes": ["end_to_end"], "tune": tune, "methods": {"scratch": {}}}
    study.write_text(yaml.safe_dump(STUDY | small))
    published = tmp_path / "published"
    common = ["label-efficiency", "--config", study, "--data", dataset, "--version", VERSION, "--publish", published]
    for out, words in (("day", []), ("night", ["--sensor", "lidar_at_night"])):
        assert cli.main(list(map(str, [*common, "--out", tmp_path / out, *words]))) == 0
    assert [row.sensor for row in read_table(published / "label_efficiency.csv")] == ["lidar", "lidar_at_night"]
    page = (published / "label_efficiency_lidar_at_night.md").read_text()
    assert page.startswith("# Label efficiency: lidar_at_night") and "--sensor lidar_at_night" in page
    capsys.readouterr()
    for out, name, words in (("night", "night", "another 'sensor'"), ("dusk", "a/b", "sensor: 'a/b' becomes part")):
        assert cli.main(list(map(str, [*common, "--out", tmp_path / out, "--sensor", name]))) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert not (tmp_path / "dusk").exists()


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_that_ship_are_accepted(
    path: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every method's pre-training and the fine-tuning, with all overrides, are such as the commands take."""
    config = StudyConfig.read(path)
    assert config.study(100).jobs()
    for name in config.methods:
        configuration = config.pretraining(name)
        if configuration is not None:
            (tmp_path / "pretrain.yaml").write_text(yaml.safe_dump(configuration))
            arguments = ["--config", tmp_path / "pretrain.yaml", "--data", dataset, "--out", tmp_path, "--print_config"]
            with pytest.raises(SystemExit) as stop:
                cli.main(["pretrain", *map(str, arguments)])
            assert stop.value.code in (0, None), capsys.readouterr().err
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(config.finetuning()))
    arguments = ["--config", tmp_path / "finetune.yaml", "--data", dataset, "--out", tmp_path, "--print_config"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["finetune", *map(str, arguments)])
    assert stop.value.code in (0, None), capsys.readouterr().err


def test_overrides_name_files_beside_the_study(study: Path) -> None:
    content = yaml.safe_load(study.read_text())
    other = {**ENCODER, "init_args": ENCODER["init_args"] | {"out_channels": 12}}
    (study.parent / "other.yaml").write_text(yaml.safe_dump(other))
    content["pretrain_overrides"] = {"model": {"objective": {"init_args": {"encoder": "other.yaml"}}}}
    study.write_text(yaml.safe_dump(content))
    pretraining = StudyConfig.read(study).pretraining("jepa")
    assert pretraining is not None
    assert pretraining["model"]["objective"]["init_args"]["encoder"] == other


def test_overrides_of_a_method_change_its_pretraining_alone(study: Path, dataset: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.read_text())
    objective = {
        "class_path": "avjepa.pretrain.objectives.occupancy.OccupancyReconstruction",
        "init_args": {
            "reconstruction_target": {
                "class_path": "avjepa.encoders.reconstruction_target.PillarPoints", "init_args": {"sensor": "lidar"}
            }
        },
    }  # fmt: skip
    content["methods"]["generative"] = {"pretrain": "pretrain.yaml", "overrides": {"model": {"objective": objective}}}
    study.write_text(yaml.safe_dump(content))
    builder = ConfiguredBuilder(StudyConfig.read(study), {"dataroot": str(dataset), "version": VERSION})
    measures = builder.pretrain(Pretraining("generative", 0, 1), tmp_path / "generative")
    assert measures["batch_size"] == 2
    saved = yaml.safe_load((tmp_path / "generative" / "config.yaml").read_text())
    used = saved["model"]["objective"]
    assert used["class_path"].endswith("OccupancyReconstruction")
    assert used["init_args"]["predictor"]["width"] == 8, "what both have in common stays"
    assert "target" not in used["init_args"]
    assert load_encoder(tmp_path / "generative" / "backbone").out_channels == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [3]}, "3"),
        ({"labls": [1]}, "labls"),
        ({"overrides": {"data": {}}}, "overrides"),
        ({"finetune_overrides": [1]}, "finetune_overrides"),
        ({"methods": {"jepa": {"pretrain": "pretrain.yaml", "overides": {}}}}, "overides"),
        ({"finetune": "nowhere.yaml"}, "nowhere.yaml"),
        ({"methods": {"a/b": {}}}, "a/b"),
        ({"steps": "many"}, "study.yaml: steps: 'many' is not accepted; give a whole number\n"),
        ({"modes": "frozen"}, "study.yaml: modes: 'frozen' is not accepted; give a list\n"),
        ({"tune": {"labels": 1}}, "study.yaml: the following arguments are required: tune.frozen, tune.end_to_end\n"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 10**12}, "steps is 1000000000000; a detector is trained for at least 1 and at most 1e+10"),
        ({"pretrain_steps": [1, 10**12]}, "pretrain_steps: [1, 1000000000000] must be at least 1 and at most 1e+10"),
        (
            {"tune": STUDY["tune"] | {"frozen": [{"learning_rate": 1, "head_first_steps": 10**12}]}},
            "head_first_steps must be at least 0 and at most 1e+10",
        ),
        (
            {"methods": {"jepa": {"pretrain": "pretrain.yaml", "export": "encodr"}}},
            "methods.jepa: export: encodr: there is no such encoder; choose encoder or target.teacher",
        ),
        ({"seeds": [-1]}, "seeds [-1]"),
        ({"longer": {"steps": 0, "methods": ["jepa"], "labels": [1]}}, "longer.steps is 0"),
        (
            {"tune": STUDY["tune"] | {"frozen": [{"learning_rate": 0}]}},
            "study.yaml: tune: learning_rate must be above 0",
        ),
        ({"tune": STUDY["tune"] | {"frozen": [{"learning_rate": 1, "layer_decay": 2}]}}, "layer_decay"),
        ({"finetune": "study.yaml"}, "study.yaml: names itself"),
        (
            {"finetune_overrides": {"model": {"backbone": "../encoder/lidar_corse.yaml"}}},
            "study.yaml: names ../encoder/lidar_corse.yaml, and there is no file of that name beside it",
        ),
        ({"finetune_overrides": {"data": None}}, "finetune: data must be keys and values, got None"),
        ({"finetune_overrides": {"trainer": "x"}}, "finetune: trainer must be keys and values"),
        ({"pretrain_overrides": {"data": True}}, "data must be keys and values, got True"),
        ({"finetune_overrides": {"data": {"workers": None}}}, "data.workers: needs a value, got null"),
        ({"tune": STUDY["tune"] | {"frozen": [{"learning_rate": 1e300}]}}, "learning_rate must be above 0 and at most"),
        ({"tune": "\ud800"}, "half a surrogate pair, which is no text"),
        ({"pretrain_overrides": {"model": "study.yaml"}}, "study.yaml: names itself"),
        ({"finetune_overrides": {"data": {"batch_size": 0}}}, "batch_size"),
        ({"finetune_overrides": {"data": {"train_split": None}}}, "data.train_split: needs a value, got null"),
        (with_objective({"class_path": "avjepa.encoders.lidar.LidarEncoder"}), "methods.jepa"),
        (with_objective({"class_path": "nowhere.Nothing"}), "nowhere.Nothing"),
        ({"seeds": [0, 2**32]}, "seeds [0, 4294967296] must be from 0 to 4294967295"),
        (with_objective({"class_path": 7}), "class_path 7 names no class"),
        (with_objective({"init_args": {"predictor": {"width": 8, "dilations": [1], "depth": 3}}}), "depth"),
    ],
)
def test_a_wrong_study_is_one_line(
    change: dict[str, object],
    words: str,
    study: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | change))
    arguments = ["--config", str(study), "--data", str(dataset), "--version", VERSION, "--out", str(tmp_path / "out")]
    assert cli.main(["label-efficiency", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
    assert not list((tmp_path / "out").glob("work/*")), "before anything starts"


@pytest.mark.parametrize(
    ("bomb", "words"),
    [
        (["a: &a [1]", *(f"{n}: &{n} [*{', *'.join(10 * m)}]" for m, n in pairwise("abcdefghi"))], "100000 values"),
        (["a: &a [*a]"], "holds itself"),
        (["a: " + 5000 * "["], "cannot be read as YAML"),
        (["a: 1" + 5000 * "0"], "cannot be read as YAML"),
        ([b"sensor: \xff\xfe"], "cannot be read as YAML"),
    ],
    ids=["billion laughs", "endless", "deep", "large number", "not UTF-8"],
)  # fmt: skip
@pytest.mark.parametrize("file", ["study", "pretrain"])
def test_a_yaml_bomb_is_one_line(
    bomb: list[str | bytes], words: str, file: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in bomb)
    path = study.parent / f"{file}.yaml"
    path.write_bytes(path.read_bytes() + lines)
    with pytest.raises(UserError, match=rf"{file}\.yaml: .*{words}"):
        StudyConfig.read(study).definition()


def test_files_that_name_each_other_many_times_over_are_one_line(study: Path) -> None:
    for n, m in pairwise("abcdefgh"):
        (study.parent / f"{n}.yaml").write_text(yaml.safe_dump(10 * [f"{m}.yaml"]))
    (study.parent / "h.yaml").write_text("[1]")
    study.write_text(yaml.safe_dump(STUDY | {"finetune_overrides": {"x": "a.yaml"}}))
    with pytest.raises(UserError, match="100000 values"):
        StudyConfig.read(study)


def test_a_key_that_is_said_twice_is_refused(study: Path) -> None:
    study.write_text(study.read_text() + "steps: 3\n")
    with pytest.raises(UserError, match=r"study\.yaml: cannot be read as YAML \('steps' is said twice, again in line"):
        StudyConfig.read(study)


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.yaml"):
        StudyConfig.read(tmp_path / "nothing.yaml")
