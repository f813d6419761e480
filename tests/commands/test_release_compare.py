"""``avjepa release compare`` and ``release note`` on releases that are written by hand."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avjepa.commands.release_compare import run_compare, run_note
from avjepa.data import datasets
from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.datasets import Layout
from avjepa.data.labels import Labels
from avjepa.data.moment import Moment
from avjepa.data.protocol import AnnotatedKeyframes, DrivingDataset
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.data.taxonomy import Taxonomy, load_taxonomy
from avjepa.errors import RefusedError, UserError
from avjepa.evaluate.comparing import examples
from tests.evaluate.comparing.handmade import CARS_AND_CONES, Thing, annotated, random_things

SCENES = 12
TAXONOMY = """
classes: [car, cone]
categories: {car: car, cone: cone}
groups: [{classes: [car, cone], nms_radius: 1.0}]
ranges: {car: 50.0, cone: 30.0}
"""


@dataclass(frozen=True)
class Drives(DrivingDataset):
    """Scenes of two keyframes in which the vehicle stands still and no sensor records anything."""

    annotations: AnnotatedKeyframes
    taxonomy: Taxonomy = CARS_AND_CONES
    name: str = "drives"
    version: str = "by hand"
    dataroot: Path = Path("memory")
    channels: SensorChannels = NUSCENES_CHANNELS
    recorded_channels: tuple[str, ...] = ()

    @property
    def scene_names(self) -> tuple[str, ...]:
        return self.annotations.scenes

    def scenes_of(self, split: str | None) -> list[str]:
        if split not in (None, "test"):
            raise UserError(f"split {split!r} does not exist; there is test")
        return list(self.annotations.scenes)

    def has_labels(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return "points"

    def label_fingerprint(self) -> str:
        return "boxes"

    def scene_descriptions(self) -> dict[str, str]:
        return dict.fromkeys(self.scene_names, "")

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        known = np.array([name in self.taxonomy.classes for name in self.annotations.categories])
        return replace(
            self.annotations, class_index=np.where(known[self.annotations.category], self.annotations.category, -1)
        )

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> np.ndarray:
        return np.arange(len(self.annotations.tokens))

    def token_of(self, moment: int) -> str:
        return self.annotations.tokens[moment]

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        scene = self.scene_names[moment // 2]
        level = torch.eye(4, dtype=torch.float64)
        return Moment(self.token_of(moment), scene, moment * 500_000, level, lidar=None, radar={}, cameras={})

    def labels(self, moment: int) -> Labels:
        return Labels.none()


TRUTH, FOUND = random_things(1, SCENES)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with releases r1 and r2 of two seeds, and r3, which is blind to what is far away."""
    keyframes = annotated(TRUTH, (2,) * SCENES)

    def opened(root: Path, version: str, channels: SensorChannels, taxonomy: Taxonomy) -> DrivingDataset:
        return Drives(keyframes, taxonomy)

    layout = Layout(lambda root, version: str(root) == "memory", opened)
    monkeypatch.setattr(datasets, "LAYOUTS", {"memory": layout, **datasets.LAYOUTS})
    monkeypatch.setattr(examples, "_WORSE", 1)  # pictures take most of the time
    monkeypatch.setattr(examples, "_BETTER", 1)
    (tmp_path / "taxonomy.yaml").write_text(TAXONOMY)
    _, other_seed = random_things(2, SCENES)
    write_release(tmp_path, "r1", FOUND)
    write_release(tmp_path, "r2", other_seed)
    write_release(tmp_path, "r3", [thing for thing in other_seed if abs(thing.x) < 20 or thing.kind])
    gate = yaml.safe_load((Path(__file__).parents[2] / "configs/release/gate.yaml").read_text())
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(gate | {"draws": 200}))
    return tmp_path


def write_release(store: Path, name: str, found: list[Thing]) -> None:
    folder = store / "releases" / name
    evaluation = folder / "evaluation" / "test"
    evaluation.mkdir(parents=True)
    results: dict[str, list[dict[str, object]]] = {f"keyframe {number}": [] for number in range(2 * SCENES)}
    for thing in found:
        token = f"keyframe {thing.keyframe}"
        results[token].append(
            {
                "sample_token": token, "translation": [thing.x, 0.0, 0.5], "size": [1.8, thing.length, 1.5],
                "rotation": [1.0, 0.0, 0.0, 0.0], "velocity": [thing.speed, 0.0],
                "detection_name": ("car", "cone")[thing.kind], "detection_score": thing.score, "attribute_name": "",
            }
        )  # fmt: skip
    (evaluation / "predictions.json").write_text(json.dumps({"meta": {"use_lidar": True}, "results": results}))
    data = {"index": "points", "annotations": "boxes"}
    (evaluation / "provenance.json").write_text(json.dumps({"data": data}))
    options = {
        "dataroot": "memory", "version": "by hand", "eval_split": "test", "taxonomy": str(store / "taxonomy.yaml"),
        "channels": None,
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": options, "model": {}}))
    (folder / "provenance.json").write_text(json.dumps({"avjepa": "0.1.0", "data": data, "steps": 400}))
    record = {
        "format_version": 1, "name": name, "tasks": ["detection"], "latency_ms": 12.5, "seconds": {"train": 80.0},
        "backbone": {"name": "lidar-base", "version": "1.0.0", "sha256": "0123456789abcdef0123"},
    }  # fmt: skip
    (folder / "release.json").write_text(json.dumps(record))


def compare(store: Path, old: str, new: str, *more: str) -> dict[str, object]:
    out = store / f"{old}_{new}"
    run_compare([old, new, "--store", str(store), "--gate", str(store / "gate.yaml"), "--out", str(out), *more])
    return json.loads((out / "comparison.json").read_text())


def test_another_seed_passes(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = compare(store, "r1", "r2")
    assert record["passed"] and not record["failures"]
    assert "passed: r2 loses nothing against r1" in capsys.readouterr().out
    page = (store / "r1_r2" / "comparison.html").read_text()
    assert (
        "http" not in page.replace("http://www.w3.org", "") and page.count("<img") == 3
    )  # a chart, a keyframe that got worse, one that got better
    assert "| mAP |" in (store / "r1_r2" / "comparison.md").read_text()


def test_a_blind_release_is_stopped_with_the_place_of_its_loss(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError):
        compare(store, "r1", "r3")
    record = json.loads((store / "r1_r3" / "comparison.json").read_text())
    fails = {one["figure"] for one in record["figures"]["detection"] if one["fails"]}
    assert {"class car", "mAP"} <= fails and not {"class cone", "distance <20 m"} & fails
    assert "failed: r3 is stopped" in capsys.readouterr().out
    worst = [one["change"] for one in record["details"]["detection"]["worst_scenes"]]
    assert len(worst) == 10 and worst == sorted(worst)


def test_a_new_class_is_new_and_a_dropped_one_stops_a_release(store: Path) -> None:
    only_cars = load_taxonomy(str(store / "taxonomy.yaml"))
    assert only_cars.classes == ("car", "cone")
    text = TAXONOMY.replace("[car, cone]", "[car]").replace("cone: cone", "cone: null").replace(", cone: 30.0", "")
    (store / "cars.yaml").write_text(text)
    write_release(store, "cars", [thing for thing in FOUND if not thing.kind])
    config = store / "releases/cars/config.yaml"
    config.write_text(config.read_text().replace("taxonomy.yaml", "cars.yaml"))
    record = compare(store, "cars", "r1")
    assert record["added"] == ["class cone"]
    assert "class cone" not in {one["figure"] for one in record["figures"]["detection"]}
    (mean,) = (one for one in record["figures"]["detection"] if one["figure"] == "mAP")
    assert mean["change"] == 0  # over cars, which both find alike
    with pytest.raises(RefusedError):
        compare(store, "r1", "cars")
    assert json.loads((store / "r1_cars" / "comparison.json").read_text())["failures"] == ["dropped: class cone"]


def test_a_note_says_why_and_what(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(store, "r1", "r2")
    out = store / "note.md"
    run_note(
        ["r2", "--why", "More labels.", "--store", str(store), "--comparison", str(store / "r1_r2"), "--out", str(out)]
    )
    text = out.read_text()
    assert text.startswith("# Release r2\n\nMore labels.\n\nGate: **passed: r2 loses nothing")
    for said in ("| class car |", "lidar-base 1.0.0", "seconds: train | 80 | 80", "| code | 0.1.0 |", "latency (ms"):
        assert said in text


def spoilt(store: Path, name: str, change: Callable[[dict[str, object]], object]) -> None:
    path = store / "releases" / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


BAD = {
    "no such release": (lambda store: shutil.rmtree(store / "releases/r2"), "there are r1, r3"),
    "damaged record": (lambda store: (store / "releases/r2/release.json").write_text("{"), "release.json: cannot be"),
    "no tasks": (
        lambda store: spoilt(store, "r2/release.json", lambda content: content.update(tasks=[])), "names no tasks",
    ),
    "not evaluated": (lambda store: shutil.rmtree(store / "releases/r2/evaluation"), "was not evaluated on split"),
    "no results": (
        lambda store: (store / "releases/r2/evaluation/test/predictions.json").unlink(), "holds no results",
    ),
    "damaged results": (
        lambda store: (store / "releases/r2/evaluation/test/predictions.json").write_text("[]"), "not a nuScenes",
    ),
    "other data": (
        lambda store: spoilt(
            store, "r2/evaluation/test/provenance.json", lambda content: content["data"].update(index="others")
        ),
        "evaluated on other recordings",
    ),
    "other annotations than are there": (
        lambda store: [
            spoilt(store, f"{name}/evaluation/test/provenance.json", lambda c: c["data"].update(annotations="others"))
            for name in ("r1", "r2")
        ],
        "annotations are not those",
    ),
    "other samples": (
        lambda store: spoilt(
            store, "r2/evaluation/test/predictions.json", lambda content: content["results"].pop("keyframe 3")
        ),
        "lacks 1 sample of the split",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(store: Path, case: str) -> None:
    spoil, said = BAD[case]
    spoil(store)
    with pytest.raises(UserError, match=said):
        compare(store, "r1", "r2")
    assert not (store / "r1_r2").exists()


def test_a_class_that_is_made_of_other_things_cannot_be_compared(store: Path) -> None:
    (store / "other.yaml").write_text(TAXONOMY.replace("cone: 30.0", "cone: 20.0"))
    config = store / "releases/r2/config.yaml"
    config.write_text(config.read_text().replace("taxonomy.yaml", "other.yaml"))
    with pytest.raises(UserError, match="class 'cone' is not the same"):
        compare(store, "r1", "r2")


def test_notes_of_other_releases_and_of_nothing_are_refused(store: Path) -> None:
    with pytest.raises(UserError, match="was not compared"):
        run_note(["r2", "--why", "x", "--store", str(store)])
    compare(store, "r1", "r2")
    arguments = ["--why", "x", "--store", str(store), "--comparison", str(store / "r1_r2")]
    with pytest.raises(UserError, match="compares 'r1' with 'r2'"):
        run_note(["r3", *arguments])
    (store / "r1_r2/comparison.json").write_text("{}")
    with pytest.raises(UserError, match="is no comparison of releases"):
        run_note(["r2", *arguments])
    with pytest.raises(UserError, match="--why: is empty"):
        run_note(["r2", "--why", " ", "--store", str(store)])
