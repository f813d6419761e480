"""Files of embeddings: what is written is read, and what no file can mean is refused."""

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from avjepa.errors import UserError
from avjepa.evaluate.reidentification.result_file import entry, read_embeddings, write_embeddings
from tests.evaluate.reidentification.drives import TWO_CLASSES

BOX = [1.0, 2.0, 0.5, 4.0, 2.0, 1.5, 0.1, 3.0, 0.0]
META = {"use_camera": True, "use_lidar": False, "use_radar": True, "dimension": 2, "temperature": None}


def encoded(*vectors: tuple[float, float]) -> str:
    return base64.b64encode(np.array(vectors, "<f2").tobytes()).decode()


def keyframe(**changes: object) -> dict[str, object]:
    """One box of a car with the embedding (3, 4)."""
    content = {"boxes": [BOX], "classes": ["car"], "tracks": ["a"], "scores": [None], "embeddings": encoded((3, 4))}
    return content | changes


def written(path: Path, results: object, meta: object = META) -> Path:
    path.write_text(json.dumps({"meta": meta, "results": results}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    boxes = np.array([BOX, BOX])
    boxes[1, 7:] = math.nan
    of_first = entry(boxes, ["car", "pedestrian"], ["a", None], [None, 0.75], np.array([[3, 4], [0, 9]], np.float32))
    path, tokens = tmp_path / "embeddings.json", ["first", "second"]
    write_embeddings(path, 2, {"first": json.dumps(of_first).encode()}, tokens, ["lidar", "camera"], 0.07)
    assert json.loads(path.read_text())["results"]["second"]["boxes"] == []
    file = read_embeddings(path, TWO_CLASSES)
    assert (file.sensors, file.temperature, file.tokens) == (("camera", "lidar"), 0.07, ("first", "second"))
    assert file.keyframe.tolist() == [0, 0]
    np.testing.assert_array_equal(file.boxes, boxes)
    assert (file.class_index.tolist(), file.tracks) == ([0, 1], ("a", None))
    np.testing.assert_array_equal(file.scores, [math.nan, 0.75])
    np.testing.assert_allclose(file.embeddings, [[0.6, 0.8], [0, 1]], atol=1e-3)


def test_a_network_that_says_no_direction_is_refused() -> None:
    for spoilt in (math.nan, math.inf, 0.0):
        with pytest.raises(UserError, match="weights of the network"):
            entry(np.array([BOX]), ["car"], ["a"], [None], np.full((1, 2), spoilt, np.float32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embeddings": encoded((math.nan, 1))}, "NaN"),
        ({"embeddings": encoded((0, 0))}, "zero"),
        ({"embeddings": encoded((3, 4), (3, 4))}, "8 bytes of embeddings, 4"),
        ({"embeddings": "no base64!"}, "base64"),
        ({"boxes": [BOX[:8]]}, "boxes"),
        ({"boxes": [[*BOX[:3], 0.0, *BOX[4:]]]}, "> 0"),
        ({"boxes": [[1e300, *BOX[1:]]]}, "<= 1000000000.0"),
        ({"classes": ["bicycle"]}, "bicycle"),
        ({"classes": []}, "not of one length"),
        ({"tracks": [7]}, "tracks"),
        ({"further": 1}, "further"),
        (
            {
                "boxes": [BOX] * 2, "classes": ["car"] * 2, "tracks": ["a"] * 2, "scores": [None] * 2,
                "embeddings": encoded((3, 4), (3, 4)),
            },
            "two boxes",
        ),
    ],
)  # fmt: skip
def test_a_keyframe_that_no_file_can_hold_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = written(tmp_path / "embeddings.json", {"fine": keyframe(), "spoilt": keyframe(**changes)})
    with pytest.raises(UserError) as error:
        read_embeddings(path, TWO_CLASSES)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "'spoilt'" in message
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no file of embeddings"),
        ('{"meta": {}, "results": {}}', "use_camera"),
        (json.dumps({"meta": META | {"dimension": 10**9}, "results": {}}), "4096"),
        (json.dumps({"meta": META | {"temperature": 0}, "results": {}}), "temperature"),
        (json.dumps({"meta": META, "results": [1]}), "results"),
        ('{"meta": 1, "meta": 2}', "'meta' stands twice"),
        ("[" * 100_000, "no file of embeddings"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "embeddings.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_embeddings(path, TWO_CLASSES)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_embeddings(tmp_path / "embeddings.json", TWO_CLASSES)
