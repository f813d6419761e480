"""Result files from strangers: read as they are, or refused in one line that says where and why."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection import usual_result
from avjepa.evaluate.detection.any_result import any_result
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE
from avjepa.evaluate.detection.result_content import Vocabulary
from avjepa.evaluate.detection.result_file import read_result_file

NUSCENES = load_taxonomy("nuscenes")
META = {"use_camera": True, "use_lidar": False, "use_radar": True, "use_map": False, "use_external": False}


def box(**changes: Any) -> dict[str, Any]:
    return {
        "sample_token": "a", "translation": [1.0, 2.0, 3.0], "size": [2.0, 4.5, 1.5], "rotation": [0.8, 0.0, 0.0, 0.6],
        "velocity": [0.5, -0.5], "detection_name": "bus", "detection_score": 0.5, "attribute_name": "vehicle.moving",
        **changes,
    }  # fmt: skip


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "predictions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_boxes_are_read_in_the_files_order(tmp_path: Path) -> None:
    later = box(sample_token="b", detection_name="barrier", attribute_name="", detection_score=1, rotation=[0, 0, 0, 2])
    # as the devkit's own serialisation writes them
    first = box(detection_score=0.25, num_pts=-1, ego_translation=[0.0, 0.0, 0.0])
    result = read_result_file(
        written(tmp_path, {"meta": META, "results": {"b": [later], "c": [], "a": [first, box()]}}), NUSCENES
    )
    assert result.sample_tokens == ("b", "c", "a")
    assert result.sensors == ("camera", "radar")
    boxes = result.boxes
    assert boxes.sample.tolist() == [0, 2, 2]
    assert [NUSCENES.classes[index] for index in boxes.class_index] == ["barrier", "bus", "bus"]
    assert boxes.attribute.tolist() == [NO_ATTRIBUTE, *2 * [NUSCENES.attribute_names().index("vehicle.moving")]]
    assert boxes.score.tolist() == [1.0, 0.25, 0.5]
    np.testing.assert_allclose(boxes.yaw % (2 * np.pi), [np.pi, *2 * [2 * np.arctan2(0.6, 0.8)]])
    assert boxes.size[1].tolist() == [2.0, 4.5, 1.5]
    assert boxes.velocity[1].tolist() == [0.5, -0.5]
    assert result.of_sample("a").score.tolist() == [0.5, 0.25]
    assert len(result.of_sample("c")) == 0
    assert result.arranged(["a", "b", "c"], 2).sample.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        *((box(**{field: None}), field) for field in box() if field not in ("attribute_name", "detection_name")),
        *(({k: v for k, v in box().items() if k != field}, rf"'{field}' is missing") for field in box()),
        (box(detection_name="tram"), "detection_name 'tram' is none of car, truck"),
        (box(detection_name=["car"]), r"detection_name \['car'\] is none of"),
        (box(attribute_name=None), "attribute_name None is none of vehicle.moving"),
        (box(attribute_name="flying"), "attribute_name 'flying' is none of"),
        (box(sample_token="b"), "lists a box whose sample_token is 'b'"),
        (box(sample_token=7), "lists a box whose sample_token is 7"),
        (box(sample_token="\ud800"), r"lists a box whose sample_token is '\\ud800'"),
        (box(translation=[1.0, 2.0]), "translation is no list of 3 numbers"),
        (box(translation=[1.0, 2.0, "3"]), "translation is no list of 3 numbers"),
        (box(translation=[1.0, 2.0, box()]), "translation is no list of 3 numbers"),
        (box(translation=[1.0, float("nan"), 3.0]), "NaN"),
        (box(translation=[1.0, 10**400, 3.0]), "a number is too large"),
        (box(translation=[1.0, 1e300, 3.0]), "absurdly large"),
        (box(size="abc"), "size is no list of 3 numbers"),
        (box(size=[2.0, 0.0, 1.0]), "size is not positive"),
        (box(size=[2.0, -4.0, 1.0]), "size is not positive"),
        (box(size=[2.0, 1001.0, 1.5]), "size is absurd, 1000 m or more"),
        (box(rotation=[0, 0, 0, 0]), "rotation is no quaternion"),
        (box(rotation=[True, 0, 0, 0]), "rotation is no list of 4 numbers"),
        (box(velocity=[float("nan"), 0.0]), "NaN"),
        (box(velocity=[float("inf"), 0.0]), "infinite"),
        (box(detection_score="0.5"), "detection_score is no number"),
        (box(detection_score=float("nan")), "NaN"),
        (box(num_pts=0), "num_pts is for annotations"),
        (box(ego_translation=None), "ego_translation is no list of 3 numbers"),
        ([box()], "is no box"),
        (None, "None is no box"),
        (3, "3 is no box"),
    ],
)  # fmt: skip
def test_a_bad_box_is_refused_in_one_line(entry: Any, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"meta": META, "results": {"a": [box(), entry]}})
    with pytest.raises(UserError, match=problem) as refusal:
        read_result_file(path, NUSCENES)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not a nuScenes detection result"),
        ('{"meta": {}, "results": {"a": [', "not a nuScenes detection result"),
        ("[" * 100_000, "not a nuScenes detection result"),
        ('{"meta": {}, "results": ' + "9" * 5000 + "}", "not a nuScenes detection result"),
        ([], "no objects 'meta' and 'results'"),
        (None, "no objects 'meta' and 'results'"),
        (box(), "no objects 'meta' and 'results'"),
        ({"results": {}}, "no objects 'meta' and 'results'"),
        ({"meta": META}, "no objects 'meta' and 'results'"),
        ({"meta": META, "results": [box()]}, "no objects 'meta' and 'results'"),
        ({"meta": box(), "results": {}}, "no objects 'meta' and 'results'"),
        ({"meta": {**META, "use_lidar": "no"}, "results": {}}, "'use_lidar' is neither true nor false"),
        ({"meta": META, "results": {"a": box()}}, "sample 'a': its boxes are no list"),
        ('{"meta": {}, "results": {"a": [], "b": [], "a": []}}', "the key 'a' stands twice"),
    ],
)
def test_a_file_that_is_no_result_is_refused_in_one_line(content: Any, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=problem) as refusal:
        read_result_file(path, NUSCENES)
    assert str(refusal.value).isprintable()


def twice(key: str, content: Any) -> str:
    """JSON in which an object has the key twice."""
    return re.sub(rf'"{key}": [^,}}]+', r"\g<0>, \g<0>", json.dumps(content), count=1)


@pytest.mark.parametrize("key", ["sample_token", "detection_score", "attribute_name", "use_lidar"])
def test_a_key_that_stands_twice_is_refused(key: str, tmp_path: Path) -> None:
    path = written(tmp_path, twice(key, {"meta": META, "results": {"a": [box(), box()]}}))
    with pytest.raises(UserError, match=rf"predictions\.json: the key '{key}' stands twice in one object"):
        read_result_file(path, NUSCENES)


ODD_TOKEN = "}],"
"""With the quotes about it, it looks like the end of a sample's boxes."""
FORMS: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "plain": lambda meta, results: json.dumps({"meta": meta, "results": results}),
    "results first": lambda meta, results: json.dumps({"results": results, "meta": meta}),
    "dense": lambda meta, results: json.dumps({"meta": meta, "results": results}, separators=(",", ":")),
    "indented": lambda meta, results: json.dumps({"meta": meta, "results": results}, indent=1) + "\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece", [200, 1000, 1 << 19])
@pytest.mark.parametrize("token", ["b", "Straße", ODD_TOKEN, "a:b"])
def test_a_file_that_is_read_in_pieces_says_what_it_says_as_a_whole(
    form: str, piece: int, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual_result, "_PIECE", piece)
    draw = np.random.default_rng(0)
    results = {
        name: [
            box(sample_token=name, translation=draw.normal(size=3).tolist(), detection_score=draw.random())
            for _ in range(count)
        ]
        for name, count in (("a", 3), (token, 5), ("c", 0), ("d", 1), ("e", 0))
    }
    path = written(tmp_path, FORMS[form](META, results))
    vocabulary = Vocabulary(NUSCENES)
    whole = any_result(path, vocabulary)
    in_pieces = usual_result.usual_result(path, vocabulary)
    # a colon in a text looks like a key too many, and a cut at the odd token is a wrong one: then it is read whole
    if in_pieces is None:
        assert token == "a:b" or (token == ODD_TOKEN and piece < 10_000)
    else:
        assert (in_pieces.meta, in_pieces.tokens) == (whole.meta, whole.tokens)
        for column in ("sample", "names", "numbers"):
            np.testing.assert_array_equal(getattr(in_pieces, column), getattr(whole, column))
    assert read_result_file(path, NUSCENES).boxes.score.tolist() == whole.numbers[:, -1].tolist()


@pytest.mark.parametrize("make", [lambda path: None, os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "predictions.json")
    with pytest.raises(UserError, match=r"predictions\.json: no such file"):
        read_result_file(tmp_path / "predictions.json", NUSCENES)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_bytes(b'\xff\xfe{"results": {}}')
    with pytest.raises(UserError, match="not a nuScenes detection result"):
        read_result_file(path, NUSCENES)
