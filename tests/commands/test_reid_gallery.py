"""``avjepa reid gallery`` on a world of one event: with cameras, with the LiDAR alone, and without files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from avjepa import cli
from avjepa.data.datasets import open_dataset
from avjepa.evaluate.reidentification.result_file import entry, write_embeddings
from tests.data.conftest import VERSION, build
from tests.report.test_page import Reader


def world(root: Path, *channels: str) -> Path:
    """The tiny dataset, whose pedestrian is hidden for 1 s; the car is a pedestrian too, so that there is a choice."""
    build(root, channels) if channels else build(root)
    for name, column, old, new in (
        ("instance", "category_token", "category0", "category1"),
        ("sample_annotation", "visibility_token", "1", "4"),
    ):
        table = root / VERSION / f"{name}.json"
        rows = json.loads(table.read_text())
        changed = [row | {column: new} if row[column] == old else row for row in rows]
        table.write_text(json.dumps(changed))
    return root


def embeddings(data: Path, path: Path, version: str, split: str) -> Path:
    """Of all annotated boxes; each object looks as itself."""
    source = open_dataset(data, version)
    annotated = source.annotated_keyframes(source.scenes_of(split))
    looks = np.eye(256, dtype=np.float32)
    entries = {}
    for at, token in enumerate(annotated.tokens):
        rows = np.flatnonzero((annotated.keyframe == at) & (annotated.class_index >= 0))
        names = [source.taxonomy.classes[index] for index in annotated.class_index[rows]]
        tracks = [source.track_name(int(track)) for track in annotated.track[rows]]
        said = entry(annotated.boxes[rows], names, tracks, [None] * len(rows), looks[annotated.track[rows]])
        entries[token] = json.dumps(said).encode()
    write_embeddings(path, 256, entries, annotated.tokens, ["lidar"])
    return path


def gallery(data: Path, file: Path, out: Path, *more: str, version: str = VERSION, split: str = "val") -> int:
    source = ["--data", str(data), "--version", version, "--split", split, "--k", "1"]
    return cli.main(["reid", "gallery", *source, "--embeddings", str(file), "--out", str(out), *more])


@pytest.mark.parametrize("channels", [(), ("LIDAR_TOP",)])
def test_the_event_is_shown_with_its_gallery(channels: tuple[str, ...], tmp_path: Path) -> None:
    data = world(tmp_path / "data", *channels)
    file = embeddings(data, tmp_path / "embeddings.json", VERSION, "val")
    assert gallery(data, file, tmp_path / "out") == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(written) == 2 and written[0].startswith("0.5-1s-right-") and written[1] == "gallery.html"
    assert (tmp_path / "out" / written[0]).read_bytes().startswith(b"\x89PNG")
    text = Reader((tmp_path / "out" / "gallery.html").read_text(encoding="utf-8")).text
    assert "A pedestrian of scene-0001, hidden for 1.0 s: 1st of 2 by embedding" in text
    assert "1 event right, 0 wrong" in text and "100.0% are right" in text


def test_a_file_that_is_missing_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = world(tmp_path / "data")
    file = embeddings(data, tmp_path / "embeddings.json", VERSION, "val")
    shutil.rmtree(data / "samples" / "CAM_BACK")
    assert gallery(data, file, tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "CAM_BACK" in said.err
    assert not (tmp_path / "out").exists()


def test_real_tables_without_their_files_end_in_one_line(
    realdata: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = realdata / "nuscenes_minival_metadata"
    file = embeddings(data, tmp_path / "embeddings.json", "v1.0-mini", "mini_val")
    assert gallery(data, file, tmp_path / "out", version="v1.0-mini", split="mini_val") == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "samples" in said.err
    assert not (tmp_path / "out").exists()


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, words in ((("--method", "size"), "--method 'size'"), (("--events", "0"), "--events: must be at least 1")):
        assert gallery(tmp_path, tmp_path / "embeddings.json", tmp_path / "out", *more) == 2
        assert words in capsys.readouterr().err
