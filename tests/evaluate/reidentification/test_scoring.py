"""Files of embeddings are scored on the events of a drive, beside what needs no network."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.protocol import AnnotatedKeyframes, DrivingDataset
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.reidentification import ReidentificationScorer
from avjepa.evaluate.reidentification.comparison import FitScenes, compared
from avjepa.evaluate.reidentification.methods import EMBEDDING, SIZE, VELOCITY
from avjepa.evaluate.reidentification.result_file import entry, read_embeddings, write_embeddings
from avjepa.evaluate.reidentification.table import Training, rows_of, write_table
from avjepa.heads.task import ScoredSplit
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive

GONE = Seen(points=0)


@dataclass(frozen=True)
class HandmadeDrive(DrivingDataset):
    """As much of a data set as scoring asks for: one split, "test", of one scene."""

    annotated: AnnotatedKeyframes
    name: str = "a drive"
    version: str = "by hand"
    dataroot: Path = Path("by hand")
    channels: SensorChannels = NUSCENES_CHANNELS
    recorded_channels: tuple[str, ...] = ()
    taxonomy: Taxonomy = TWO_CLASSES
    scene_names: tuple[str, ...] = ("scene 0",)

    def scenes_of(self, split: str | None) -> list[str]:
        if split not in (None, "test"):
            raise UserError(f"split {split!r} does not exist")
        return list(self.annotated.scenes)

    def has_labels(self) -> bool:
        return True

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        return self.annotated

    def track_name(self, track_id: int) -> str:
        return f"object {track_id}"


@pytest.fixture
def swap() -> DrivingDataset:
    """Two cars that stand 4 m apart are hidden for 2.5 s, and each comes back where the other one was."""
    first = {0: Seen(x=0.0), 1: GONE, 2: GONE, 3: GONE, 4: GONE, 5: Seen(x=4.0)}
    second = {0: Seen(x=4.0), 1: GONE, 2: GONE, 3: GONE, 4: GONE, 5: Seen(x=0.0)}
    return HandmadeDrive(drive({1: first, 2: second}, scene_lengths=(6,)))


def file_of(path: Path, boxes: dict[str, list[tuple[float, str | None, tuple[float, float]]]]) -> Path:
    """Cars along a line at some keyframes of six: place, name and embedding of each."""
    entries = {}
    for token, listed in boxes.items():
        nine = np.array([[x, 0.3, 0.5, 4.0, 2.0, 1.5, 0, math.nan, math.nan] for x, _, _ in listed])
        vectors = np.array([vector for _, _, vector in listed], np.float32)
        names = [name for _, name, _ in listed]
        said = entry(nine, ["car"] * len(listed), names, [None if name else 0.9 for name in names], vectors)
        entries[token] = json.dumps(said).encode()
    write_embeddings(path, 2, entries, [f"k{number}" for number in range(6)], ["camera", "lidar"])
    return path


A, B = (1.0, 0.0), (0.0, 1.0)


def test_embeddings_name_the_cars_that_motion_confuses(swap: DrivingDataset, tmp_path: Path) -> None:
    seen = [(0.0, "object 1", A), (4.0, "object 2", B)]
    back = [(4.0, "object 1", A), (0.0, "object 2", B), (9.0, "a stranger", B)]
    file = read_embeddings(file_of(tmp_path / "embeddings.json", {"k0": seen, "k5": back}), TWO_CLASSES)
    comparison = compared(swap, swap.scenes_of(None), file=file)
    rank1 = {method: scored.slices[("gap", "2-5")].rank1 for method, scored in comparison.methods.items()}
    assert rank1[EMBEDDING] == 1
    assert rank1[VELOCITY] == 0
    assert rank1[SIZE] == 0.5, "both cars have one size, so that one of two guesses is right"
    rows = {(row.method, row.gap): row for row in rows_of(comparison, 7, Training("scratch", 20.0))}
    found = rows[EMBEDDING, "2-5"]
    assert (found.sensors, found.events, found.rank1, found.mAP, found.seed) == ("C+L", 2, 100.0, 1.0, 7)
    assert (found.boxes, found.backbone, found.labels) == ("annotated", "scratch", 20)
    told_boxes = rows[VELOCITY, "2-5"]
    assert (told_boxes.sensors, told_boxes.backbone, told_boxes.labels) == ("none", "none", 0)
    write_table(tmp_path / "reid.csv", list(rows.values()))
    lines = (tmp_path / "reid.csv").read_text().splitlines()
    assert lines[0] == "sensors,method,gap,events,rank1,mAP,auroc,fpr95,seed,boxes,backbone,labels"
    assert "C+L,embedding,>5,0,,,,,7,annotated,scratch,20" in lines, "what is not known is left empty"


def test_an_object_without_an_embedding_is_not_recognised(swap: DrivingDataset, tmp_path: Path) -> None:
    seen, back = [(0.0, "object 1", A), (4.0, "object 2", B)], [(4.0, "object 1", A)]
    file = read_embeddings(file_of(tmp_path / "embeddings.json", {"k0": seen, "k5": back}), TWO_CLASSES)
    comparison = compared(swap, swap.scenes_of(None), file=file)
    assert comparison.methods[EMBEDDING].slices["all", "all"].rank1 == 0.5
    assert any("1 of 4 sightings have no embedding" in note for note in comparison.notes)


def test_detected_boxes_take_the_place_of_the_annotated_ones(swap: DrivingDataset, tmp_path: Path) -> None:
    # each box is found 0.3 m aside; at the end only the first car is, so that one event is left
    seen, back = [(0.5, None, A), (4.0, None, B), (1.4, None, B)], [(4.5, None, A), (2.4, None, B)]
    file = read_embeddings(file_of(tmp_path / "embeddings.json", {"k0": seen, "k5": back}), TWO_CLASSES)
    comparison = compared(swap, swap.scenes_of(None), file=file, fit=FitScenes(("another",)))
    assert comparison.methods[EMBEDDING].slices["all", "all"].events == 1
    assert comparison.methods[EMBEDDING].slices["all", "all"].rank1 == 1
    assert comparison.methods[VELOCITY].slices["all", "all"].rank1 == 0
    assert comparison.fitted_on == 0
    assert any("boxes are detected" in note for note in comparison.notes)
    (row, *_) = rows_of(comparison, 0, Training())
    assert (row.method, row.sensors, row.boxes) == ("random embedding", "C+L", "detected"), "whose boxes all are told"


def test_the_scorer_writes_metrics_and_gives_figures(
    swap: DrivingDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [(0.0, "object 1", A), (4.0, "object 2", B)]
    path = file_of(tmp_path / "embeddings.json", {"k0": both, "k5": both})
    scorer, split = ReidentificationScorer(), ScoredSplit(swap, "test")
    assert scorer.figures(path, split) == {
        "rank1": 1.0, "rank1_over_2s": 1.0, "rank1_with_motion": 1.0, "rank1_with_motion_over_2s": 1.0,
    }  # fmt: skip
    metrics = scorer.score(path, split, tmp_path / "out")
    assert metrics is not None
    content = json.loads(metrics.read_text())
    assert content["methods"][EMBEDDING]["slices"]["gap"]["2-5"]["events"] == 2
    assert content["events_fitted_on"] == 0
    assert "embedding (C+L)" in capsys.readouterr().out


def test_a_file_of_other_keyframes_is_refused(swap: DrivingDataset, tmp_path: Path) -> None:
    path = tmp_path / "embeddings.json"
    write_embeddings(path, 2, {}, ["k0", "elsewhere"], ["lidar"])
    with pytest.raises(UserError, match="6 samples in one of the two only"):
        ReidentificationScorer().figures(path, ScoredSplit(swap, "test"))


def test_where_nothing_comes_back_there_is_nothing_to_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path / "embeddings.json", {"k0": [(0.0, "object 1", A)]})
    for boxes in ({1: {0: Seen(), 1: Seen()}, 2: {3: Seen()}}, {1: {0: GONE}}, {}):
        split = ScoredSplit(HandmadeDrive(drive(boxes, scene_lengths=(6,))), "test")
        assert ReidentificationScorer().figures(path, split) == {}
        assert ReidentificationScorer().score(path, split, tmp_path) is None
        assert "nothing to score: no object of a class is seen, hidden" in capsys.readouterr().out


def test_whether_a_detected_object_moves_is_said_by_its_annotation(tmp_path: Path) -> None:
    """A detector may take what moves for parked, or say nothing of it, as this file does."""
    car = {0: Seen(x=0.0, velocity=(3, 0)), 1: GONE, 2: Seen(x=3.0, velocity=(3, 0))}
    source = HandmadeDrive(drive({1: car}, scene_lengths=(6,)))
    seen = {"k0": [(0.0, None, A)], "k2": [(3.0, None, A)]}
    file = read_embeddings(file_of(tmp_path / "embeddings.json", seen), TWO_CLASSES)
    slices = compared(source, source.scenes_of(None), file=file, fit=FitScenes(("another",))).methods[EMBEDDING].slices
    assert slices["motion", "moving"].events == 1 and ("motion", "parked") not in slices
