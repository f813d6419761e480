"""A study of a backbone that is there, and of means beside pre-training, on two scenes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from avjepa import cli
from avjepa.bundle.construction import build as build_object
from avjepa.bundle.files import save_bundle
from avjepa.encoders.base import BEVBackbone
from avjepa.study.summary import read_table
from tests.commands.test_label_efficiency import ENCODER, FINETUNE, STUDY
from tests.data.conftest import VERSION, build

MEANS: dict[str, Any] = {
    "taught": {"methods": ["there"], "labels": [1, 2], "modes": ["frozen"], "pseudo_score": 0.0},
    "slow": {"methods": ["there"], "labels": [1], "modes": ["frozen"], "overrides": {"model": {"weight_decay": 0.5}}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build(tmp_path_factory.mktemp("tiny") / "data", channels=("LIDAR_TOP",))
    splits = {"train": ["scene-0000", "scene-0001"], "val": ["scene-0000"], "test": ["scene-0001"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    encoder = build_object(BEVBackbone, ENCODER, "test")  # type: ignore[type-abstract]
    save_bundle(encoder, tmp_path / "backbone", {})
    there = {"bundle": "backbone", "pretrain_steps": [7], "modes": ["frozen"]}
    single = {"tune": STUDY["tune"] | {"end_to_end": [{"learning_rate": 1e-3}]}, "labels": [1]}
    content = STUDY | single | {"means": MEANS, "methods": {"there": there}}
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(FINETUNE))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "study.yaml"


def run(study: Path, data: Path) -> int:
    source = ("--data", data, "--version", VERSION, "--out", study.parent / "out")
    return cli.main(list(map(str, ("label-efficiency", "--config", study, *source))))


def test_what_a_study_learned_stays_when_means_come_later(
    study: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The detector that is to teach has been scored before anybody asked for its boxes."""
    content = yaml.safe_load(study.read_text())
    study.write_text(yaml.safe_dump(content | {"means": {}}))
    assert run(study, data) == 0
    wrong = {"methods": ["there"], "labels": [1], "modes": ["frozen"], "pseudo_score": 1.0}  # no box reaches it
    study.write_text(yaml.safe_dump(content | {"means": {"taught": wrong}}))
    assert run(study, data) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "means.taught: no box of there reaches pseudo_score, the best of them is 0." in said
    assert "have means of another name with a lower one, or choose another --out; once that is mended" in said
    outcomes = study.parent / "out" / "outcomes"
    assert not list(outcomes.glob("*-taught.json"))
    study.write_text(yaml.safe_dump(content | {"means": {"taught": wrong | {"pseudo_score": 0.0}}}))
    out = ("--data", data, "--version", VERSION, "--out", study.parent / "out", "--retry_failed", "true")
    assert cli.main(list(map(str, ("label-efficiency", "--config", study, *out)))) == 0
    assert list(outcomes.glob("*-taught.json")), "what no job was done with may be corrected"


def test_scenes_that_are_scored_and_trained_on_are_named(study: Path, data: Path) -> None:
    source = ("--data", data, "--version", VERSION, "--out", study.parent / "out", "--split", "train")
    assert cli.main(list(map(str, ("label-efficiency", "--config", study, *source)))) == 0
    page = (study.parent / "out" / "summary.md").read_text()
    assert "**on scenes that were used for the training too, so that they say little**" in page


def test_a_report_of_nothing_is_refused(study: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ("--data", data, "--version", VERSION, "--out", study.parent / "nothing", "--report_only", "true")
    assert cli.main(list(map(str, ("label-efficiency", "--config", study, *source)))) == 2
    assert "holds no study (study.json) to report" in capsys.readouterr().err
    assert not (study.parent / "nothing").exists()


def test_a_backbone_that_is_there_and_a_detector_that_teaches_itself(study: Path, data: Path) -> None:
    assert run(study, data) == 0
    out = study.parent / "out"
    rows = read_table(out / "label_efficiency.csv")
    cells = {(row.method, row.mode, row.scenes, row.pretrain_steps) for row in rows}
    # not taught with both scenes: none is left to be taught on
    assert cells == {(method, "frozen", 1, 7) for method in ("there", "there+slow", "there+taught")}
    outcomes = {path.stem: json.loads(path.read_text()) for path in (out / "outcomes").glob("*.json")}
    cells_of = {name: outcome for name, outcome in outcomes.items() if "scene_names" in outcome}
    assert all(len(outcome["scene_names"]) == 1 for outcome in cells_of.values())
    taught = {name: len(outcome["pseudo_labelled_scene_names"]) for name, outcome in cells_of.items()}
    assert taught == {name: int("taught" in name) for name in cells_of} and any(taught.values())
    original, copied = (folder / "backbone" for folder in (study.parent, out / "work" / "pretrain-there-p0-7"))
    assert (copied / "model.safetensors").read_bytes() == (original / "model.safetensors").read_bytes()
    page = (out / "summary.md").read_text()
    assert "All seeds of there share one pre-training" in page and "| taught | there | frozen backbone |" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": {"there": {"bundle": "backbone"}}}, "methods.there.bundle: is a backbone that is there"),
        ({"methods": {"there": {"bundle": "zoo:none", "pretrain_steps": [7]}}}, "zoo:none: the zoo has no"),
        (
            {"methods": {"there": {"bundle": "zoo:radar-tiny", "pretrain_steps": [7]}}},
            "methods.there: data.sensors: lidar, of which RadarEncoder reads none; add radar",
        ),
        (
            {"methods": {"there": {"bundle": "backbone", "pretrain_steps": [10**12]}}},
            "methods.there.pretrain_steps: [1000000000000] must be at least 1 and at most 1e+10",
        ),
        ({"means": {"taught": {"methods": ["other"]}}}, "means.taught.methods: 'other' is no method of the study"),
        ({"means": {"taught": {"methods": ["there"], "pseudo_score": 2.0}}}, "means.taught.pseudo_score"),
        ({"means": {"taught": {"methods": ["there"], "score": 1}}}, "unknown key means.taught.score"),
        ({"means": {"a/b": {"methods": ["there"]}}}, "means: 'a/b' becomes part of file names"),
        ({"means": {"n3": {"methods": ["there"]}}}, "means: 'n3' is how longer trainings are named"),
        (
            {"means": {"fast": {"methods": ["there"], "overrides": {"model": {"learning_rate": 1.0}}}}},
            "means.fast.overrides: model.learning_rate is set by the study",
        ),
        (
            {"means": {"long": {"methods": ["there"], "overrides": {"trainer": {"max_steps": 9}}}}},
            "means.long.overrides: trainer.max_steps is set by the study",
        ),
        ({"finetune_overrides": {"data": {"scenes": 1}}}, "finetune_overrides: data.scenes is set by the study"),
        (
            {"means": {"pasted": {"methods": ["there"], "overrides": {"data": {"gt_sampling": {}}}}}},
            "means.pasted.overrides: data.gt_sampling pastes nothing into the kept maps of a frozen backbone",
        ),
        (
            {
                "means": {
                    "both": {
                        "methods": ["there"], "pseudo_score": 0.3,
                        "overrides": {"data": {"class_balanced": True}},
                    }
                }
            },
            "means.both: data.class_balanced needs annotated boxes in all training scenes",
        ),
        ({"means": {"e": {"methods": ["there"], "modes": ["end_to_end"]}}}, "end_to_end is no mode of there"),
        (
            {"means": {"heads": {"methods": ["there"], "overrides": {"model": {"init_heads": "nowhere"}}}}},
            "model.init_heads nowhere: holds no checkpoints/last.ckpt; make that run first, or leave the means out",
        ),
        ({"means": {"none": {"methods": []}}}, "study.yaml: means.none.methods: the list is empty"),
        ({"longer": {"steps": 3, "methods": [], "labels": [1]}}, "study.yaml: longer.methods: the list is empty"),
        ({"means": {"none": {"methods": ["there"]}}}, "study.yaml: means.none: changes nothing; give it overrides"),
        ({"longer": {"steps": 3, "methods": ["there"], "labels": [1]}}, "longer.modes: end_to_end is no mode of there"),
        (
            {"tune": STUDY["tune"] | {"frozen": 2 * [{"learning_rate": 1e-3}]}},
            "study.yaml: tune.frozen holds a setting twice",
        ),
        ({"labels": [3]}, "study.yaml: labels: 3, more than the training split has; give at most 2"),
        ({"tune": STUDY["tune"] | {"labels": "-5%"}}, "study.yaml: tune.labels: '-5%' is no scene"),
        (
            {"methods": {"there": {"bundle": "study.yaml", "pretrain_steps": [7]}}},
            "study.yaml: is a file; give the folder of a bundle",
        ),
        (
            {"means": {"odd": {"methods": ["there"], "overrides": {"data": {"gt_smpling": {}}}}}},
            "means.odd: data.gt_smpling: there is no such option",
        ),
        (
            {"means": {"odd": {"methods": ["there"], "overrides": {"data": {"augmentation": {"rotaton": 1}}}}}},
            "means.odd: data.augmentation: Option 'rotaton' is not accepted; did you mean 'rotation'? See --help",
        ),
        ({"longer": {"step": 3}}, "longer: Option 'step' is not accepted; did you mean 'steps'? See --help"),
        ({"labels": []}, "labels: the list is empty"),
        ({"labels": ["inf%"]}, "labels: 'inf%' is neither a number of scenes nor a share"),
        (
            {"modes": [], "means": {}, "methods": {"there": {"bundle": "backbone", "pretrain_steps": [7]}}},
            "modes: the list is empty; fill it, or leave it out",
        ),
        (
            {"longer": {"steps": 1, "methods": ["there"], "labels": [1], "modes": ["frozen"]}},
            "longer.steps is 1, and steps",
        ),
        ({"finetune": "../no/such.yaml"}, "such.yaml: "),
        ({"finetune": "lidar_corse"}, "finetune: lidar_corse: is no file, and no configuration of that name ships"),
    ],
)  # fmt: skip
def test_what_cannot_be_studied_is_one_line(
    study: Path, data: Path, changes: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | changes))
    assert run(study, data) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert words in said
    assert not (study.parent / "out").exists()
