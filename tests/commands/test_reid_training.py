"""A head for re-identification beside one for detection: trained, scored, asked about detected boxes."""

import json
from pathlib import Path

import pytest

from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.reidentification.result_file import read_embeddings
from tests.commands.test_training import CONFIGS, QUICK, VERSION, avjepa

LIDAR = ("--model.backbone", CONFIGS / "encoder" / "lidar_coarse.yaml", "--data.sensors", "[lidar]")
CLIPS = ("--data.clips.length", 2, "--data.batch_size", 4)


def finetune(tiny: Path, out: Path, *more: object) -> int:
    config = CONFIGS / "finetune" / "fusion_coarse_reid.yaml"
    source = ("--config", config, *LIDAR, "--model.mode", "end_to_end", "--model.stages", "null")
    return avjepa("finetune", *source, "--data", tiny, "--version", VERSION, "--out", out, *QUICK, *more)


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reid") / "run"
    assert finetune(tiny, out, *CLIPS, "--steps", 2) == 0
    return out


def test_every_annotated_box_with_points_has_an_embedding(run: Path, tiny: Path) -> None:
    source = open_dataset(tiny, VERSION)
    file = read_embeddings(run / "evaluation" / "val" / "reidentification" / "embeddings.json", source.taxonomy)
    annotated = source.annotated_keyframes(source.scenes_of("val"))
    expected = {
        (annotated.tokens[keyframe], tuple(box[:3].round(2)))
        for keyframe, box, index, lidar, radar in zip(
            annotated.keyframe.tolist(),
            annotated.boxes,
            annotated.class_index.tolist(),
            annotated.lidar_points.tolist(),
            annotated.radar_points.tolist(),
            strict=True,
        )
        if index >= 0 and (lidar or radar)
    }
    rows = zip(file.keyframe.tolist(), file.boxes, strict=True)
    found = {(file.tokens[at], tuple(box[:3].round(2))) for at, box in rows}
    assert found == expected and file.sensors == ("lidar",) and file.embeddings.shape[1] == 64
    assert all(track is not None for track in file.tracks)


def test_detected_boxes_take_the_place_of_annotated_ones(run: Path, tmp_path: Path, tiny: Path) -> None:
    predictions = run / "evaluation" / "val" / "detection" / "predictions.json"
    content = json.loads(predictions.read_text())
    for boxes in content["results"].values():
        del boxes[3:]
    some = tmp_path / "some.json"
    some.write_text(json.dumps(content))
    assert avjepa("evaluate", "--run", run, "--boxes", some, "--fast") == 0
    folder = run / "evaluation" / "val_detected" / "reidentification"
    file = read_embeddings(folder / "embeddings.json", load_taxonomy("nuscenes_two_groups"))
    assert file.tracks == (None,) * len(file.tracks) and len(file.tracks) == sum(map(len, content["results"].values()))
    first = next(boxes for boxes in content["results"].values() if boxes)[0]
    row = next(number for number, at in enumerate(file.keyframe) if file.tokens[at] == first["sample_token"])
    width, length, height = first["size"]
    assert file.boxes[row, :6] == pytest.approx([*first["translation"], length, width, height], abs=1e-2)
    assert file.scores[row] == pytest.approx(first["detection_score"], rel=1e-5)


def test_without_clips_and_with_boxes_for_nobody_there_is_one_line(
    tiny: Path, tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tiny, tmp_path / "run", "--data.clips", "null", "--steps", 2) == 2
    assert "model.tasks.reidentification: is taught by several keyframes" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert avjepa("evaluate", "--run", run, "--boxes", tmp_path / "none.json") == 2
    assert "none.json: no such file" in capsys.readouterr().err
