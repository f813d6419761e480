"""Whatever stands in a table: it is read where its meaning is clear, and otherwise one line says which record it is."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from avjepa.data.channels import NUSCENES_CHANNELS
from avjepa.data.nuscenes import tables
from avjepa.data.nuscenes.annotation_tables import build_annotations
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.index_tables import build_index
from avjepa.data.nuscenes.records import CalibratedSensor, Log, SampleAnnotation
from avjepa.data.nuscenes.tables import TableProblem, TableReader, stop_at_problem
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError

from ..conftest import VERSION
from .test_index import edit

INDEXED = ("log", "scene", "sample", "sensor", "calibrated_sensor", "ego_pose", "sample_data")
ANNOTATED = ("category", "instance", "sample_annotation")


def change_record(root: Path, table: str, change: dict, row: int = 0) -> str:
    """Change fields of a record; returns its token."""
    tokens = []

    def changed(rows: list[dict]) -> list[dict]:
        tokens.append(rows[row]["token"])
        rows[row] = rows[row] | change
        return rows

    edit(root, table, changed)
    return tokens[0]


def listed(root: Path) -> list[TableProblem]:
    """What ``inspect`` is given."""
    found: list[TableProblem] = []
    contents = build_index(root / VERSION, NUSCENES_CHANNELS, found.append)
    index = DatasetIndex(root, VERSION, NUSCENES_CHANNELS, contents)
    build_annotations(root / VERSION, index, found.append)
    return found


def refusal(root: Path) -> str:
    """The one line of a training with labels."""
    with pytest.raises(UserError) as error:
        AnnotationIndex.open(DatasetIndex.open(root, VERSION), load_taxonomy("nuscenes"))
    message = str(error.value)
    assert message.isprintable()
    assert message.startswith(f"{VERSION}/")
    return message


WRONG = [None, 1.5, "text", [1], "\ud800"]
"""Of these, every field refuses some; the rest it may read."""


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED, "attribute"])
def test_field_of_any_wrong_type_is_read_or_named(copy: Path, table: str) -> None:
    """Each field with each wrong value: either the dataset opens, or a line names the table, the record, the field."""
    path = copy / VERSION / f"{table}.json"
    original = path.read_text()
    refused: dict[str, int] = {}
    for field in json.loads(original)[0]:
        for value in WRONG:
            path.write_text(original)
            token = change_record(copy, table, {field: value})
            found = [problem for problem in listed(copy) if problem.blocks]
            if not found:
                continue
            refused[field] = refused.get(field, 0) + 1
            line = f"{found[0].table}: record {found[0].record}: {found[0].problem}"
            if refused[field] == 1:
                assert line in refusal(copy)
            if f"'{field}'" in line:
                assert found[0].table == f"{VERSION}/{table}.json"
                assert field == "token" or found[0].token == token
            else:  # a text that is no token of a record
                assert "points to no record" in line or "no pose" in line or "no matrix" in line, line
    unread = {"fileformat", "description", "logfile", "vehicle", "date_captured", "nbr_samples", "nbr_annotations"}
    unread -= {"description"} if table == "scene" else set()
    unread |= {"first_annotation_token", "last_annotation_token"} | ({"timestamp"} if table == "ego_pose" else set())
    assert set(refused) == set(json.loads(original)[0]) - unread


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timestamp": "1600000000000000"}, "'timestamp' is the text '1600000000000000', a whole number"),
        ({"timestamp": None}, "'timestamp' is null, a whole number"),
        ({"timestamp": 1.5}, "'timestamp' is the number 1.5, a whole number"),
        ({"filename": None}, "'filename' is null, a text"),
        ({"is_key_frame": "false"}, "'is_key_frame' is the text 'false', true or false is needed"),
        ({"height": "900"}, "'height' is the text '900', a whole number"),
        ({"token": "\ud800"}, r"record '\ud800': the field 'token' holds half a surrogate pair"),
        ({"token": ""}, "record number 0: the field 'token' is the text ''"),
    ],
)
def test_line_for_a_field_of_sample_data(copy: Path, change: dict, words: str) -> None:
    change_record(copy, "sample_data", change)
    assert words in refusal(copy)
    assert any(words in str(problem) for problem in listed(copy))


def test_record_is_named_wherever_it_stands(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = change_record(copy, "sample_data", {"timestamp": "now"}, row=77)
    for chunk in (64, 5000, 1 << 22):
        monkeypatch.setattr(tables, "_CHUNK", chunk)
        assert [problem.token for problem in listed(copy)] == [token]


def test_meaning_that_is_clear_is_read(copy: Path) -> None:
    """Whole numbers as floats, tokens as numbers, 1 for true, null for a field that may be left out."""
    before = DatasetIndex.open(copy, VERSION)
    boxes = AnnotationIndex.open(before, load_taxonomy("nuscenes"))
    edit(copy, "sample_data", lambda rows: [
        row | {"timestamp": float(row["timestamp"]), "is_key_frame": int(row["is_key_frame"])}
        | ({} if row["height"] else {"height": None, "width": None}) | ({} if row["prev"] else {"prev": None})
        for row in rows
    ])  # fmt: skip
    edit(copy, "category", lambda rows: [row | {"token": number} for number, row in enumerate(rows)])
    edit(copy, "instance", lambda rows: [row | {"category_token": int(row["category_token"][-1])} for row in rows])
    edit(copy, "sample_annotation", lambda rows: [
        row | {"visibility_token": int(row["visibility_token"]) if row["visibility_token"] else None} for row in rows
    ])  # fmt: skip
    after = DatasetIndex.open(copy, VERSION)
    assert after.fingerprint() == before.fingerprint()
    assert (after.record_is_key == before.record_is_key).all()
    again = AnnotationIndex.open(after, load_taxonomy("nuscenes"))
    np.testing.assert_array_equal(again.boxes, boxes.boxes)
    assert (again.class_index == boxes.class_index).all()
    assert (again.visibility == boxes.visibility).all()
    assert listed(copy) == []


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED])
@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '[{"token": ' + "[" * 100_000 + "]" * 100_000 + "}]",
        '{"a": 1}', "null", "", "[", "[{", "[1, 2]", "[[]]", '[{"token": "a"},', '[{"token": "a"}] trailing',
        "\ufeff[]", '[{"token": "a" "b": 1}]',
    ],
)  # fmt: skip
def test_json_that_is_no_table(copy: Path, table: str, content: str) -> None:
    (copy / VERSION / f"{table}.json").write_text(content)
    assert refusal(copy).startswith(f"{VERSION}/{table}.json")


def test_table_that_is_one_endless_value(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_LARGEST_RECORD", 10_000)
    monkeypatch.setattr(tables, "_CHUNK", 1000)
    read: list[int] = []
    (copy / VERSION / "ego_pose.json").write_text("[" + "1," * 1_000_000)
    with pytest.raises(UserError, match=r"ego_pose.json: no record ends near byte 0"):
        build_index(copy / VERSION, NUSCENES_CHANNELS, stop_at_problem, read.append)
    assert sum(read) < 200_000  # the other tables, and little of this one


def test_table_that_is_a_pipe(copy: Path) -> None:
    path = copy / VERSION / "ego_pose.json"
    path.unlink()
    os.mkfifo(path)
    assert refusal(copy).startswith(f"{VERSION}/ego_pose.json: this is no regular file")


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_table_in_another_encoding(copy: Path, table: str, encoding: str) -> None:
    path = copy / VERSION / f"{table}.json"
    path.write_bytes(path.read_text().replace("token", "tökén").encode(encoding))
    assert refusal(copy).startswith(f"{VERSION}/{table}.json")


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e5000", "0." + "1" * 5000 + "e400"])
def test_number_of_thousands_of_digits(copy: Path, number: str) -> None:
    for table, field in (("sample_data", "timestamp"), ("sample_annotation", "num_lidar_pts"), ("sample", "timestamp")):
        path = copy / VERSION / f"{table}.json"
        good = path.read_text()
        token = change_record(copy, table, {field: "NUMBER"}, row=1)
        path.write_text(path.read_text().replace('"NUMBER"', number))
        assert [problem.token for problem in listed(copy) if f"'{field}'" in problem.problem] == [token]
        assert f"{table}.json: record {token}: the field '{field}'" in refusal(copy)
        path.write_text(good)


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED])
def test_null_record(copy: Path, table: str) -> None:
    edit(copy, table, lambda rows: [*rows, None])
    number = len(json.loads((copy / VERSION / f"{table}.json").read_text())) - 1
    words = f"{table}.json: record number {number}: the record is null, an object is needed"
    assert words in refusal(copy)
    assert [str(problem) for problem in listed(copy)] == [f"{VERSION}/{words}"]


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED, "attribute", "visibility", "map"])
def test_empty_table_is_no_traceback(copy: Path, table: str) -> None:
    (copy / VERSION / f"{table}.json").write_text("[]")
    harmless = ("attribute", "visibility", "map", "sample_annotation", "sample_data")
    assert any(problem.blocks for problem in listed(copy)) == (table not in harmless)


@pytest.mark.parametrize("table", [*INDEXED, *ANNOTATED, "attribute"])
def test_repeated_token(copy: Path, table: str) -> None:
    """A row that stands twice, and a token that two rows have: a link to it would mean either."""
    edit(copy, table, lambda rows: [*rows, rows[0]])
    token = json.loads((copy / VERSION / f"{table}.json").read_text())[0]["token"]
    expected = f"{VERSION}/{table}.json: record {token}: another record has this token, too"
    assert [str(problem) for problem in listed(copy) if problem.blocks] == [expected]
    assert expected in refusal(copy)


def test_scene_name_that_two_scenes_have(copy: Path) -> None:
    change_record(copy, "scene", {"name": "scene-0001"})
    assert "another scene is called 'scene-0001', too" in refusal(copy)


def test_row_that_stands_twice_under_two_tokens_is_listed(copy: Path) -> None:
    edit(copy, "sample_data", lambda rows: [*rows, rows[3] | {"token": "again", "prev": "", "next": ""}])
    assert [(p.token, p.problem, p.blocks) for p in listed(copy)] == [
        ("again", "another record has this file, too", False)
    ]
    DatasetIndex.open(copy, VERSION)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([], "no matrix of 3 rows"),
        ([[0, 0, 0]] * 3, "focal length"),
        ([[100, 0, 80], [0, 0, 45], [0, 0, 1]], "focal length"),
        ([[100, 0, 80], [0, 100, 45]], "no matrix of 3 rows"),
        ([[100, 0, float("nan")], [0, 100, 45], [0, 0, 1]], "a list with the number nan"),
        ([["a"]], "a list with the text 'a'"),
        (None, "no matrix of 3 rows"),
    ],
)
def test_camera_matrix_that_projects_nothing(copy: Path, matrix, words: str) -> None:
    rows = json.loads((copy / VERSION / "calibrated_sensor.json").read_text())
    row = next(number for number, row in enumerate(rows) if "CAM_FRONT" in row["token"])
    token = change_record(copy, "calibrated_sensor", {"camera_intrinsic": matrix}, row)
    assert f"calibrated_sensor.json: record {token}: " in refusal(copy)
    assert words in refusal(copy)


def test_ego_pose_that_jumps_is_listed(copy: Path) -> None:
    rows = json.loads((copy / VERSION / "ego_pose.json").read_text())
    row = next(number for number, row in enumerate(rows) if row["token"] == "pose-data-0-LIDAR_TOP-7")
    x, y, z = rows[row]["translation"]
    change_record(copy, "ego_pose", {"translation": [x + 1e6, y, z]}, row)
    found = [(p.token, p.problem, p.blocks) for p in listed(copy)]
    problem = "the ego pose is 1000.0 km from that of the sensor's record before it"
    assert found == [("data-0-LIDAR_TOP-7", problem, False), ("data-0-LIDAR_TOP-8", problem, False)]
    DatasetIndex.open(copy, VERSION)


@pytest.mark.parametrize(
    ("table", "link"),
    [("scene", "first_sample_token"), ("sample", "prev"), ("sample", "next"), ("sample_data", "next")],
)
def test_link_that_only_the_devkit_follows_is_listed_and_stops_nothing(copy: Path, table: str, link: str) -> None:
    token = change_record(copy, table, {link: "nowhere"})
    assert [(p.token, p.problem, p.blocks) for p in listed(copy)] == [(token, f"{link} points to no record", False)]
    DatasetIndex.open(copy, VERSION)


def test_many_records_with_one_problem_are_counted(copy: Path) -> None:
    edit(copy, "sample_data", lambda rows: [row | {"next": "nowhere"} for row in rows])
    count = len(json.loads((copy / VERSION / "sample_data.json").read_text()))
    problems = listed(copy)
    assert len(problems) == 101
    assert problems[-1].token == f"and {count - 100} more"


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_tables_are_read_in_chunks(tiny: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_CHUNK", chunk)
    reader = TableReader(tiny / VERSION, stop_at_problem)
    for record_type in (CalibratedSensor, Log, SampleAnnotation):
        theirs = json.loads((tiny / VERSION / f"{record_type.table}.json").read_text())
        ours = list(reader.records(record_type))
        assert [record.token for record in ours] == [row["token"] for row in theirs]
        for field in set(record_type.__struct_fields__) & set(theirs[0]):
            read = [getattr(record, field) for record in ours]
            assert json.loads(json.dumps(read)) == [row[field] for row in theirs]


@pytest.mark.parametrize("chunk", [1, 40, 1 << 22])
@pytest.mark.parametrize(
    "location", ['}, {"token": "x"}, {', "a\\u007d, {b", 'brackets ], [ and "quotes" \\', "ü € 漢 🚗"]
)
def test_text_that_looks_like_the_end_of_a_record(
    tmp_path: Path, chunk: int, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_CHUNK", chunk)
    rows = [
        {"token": str(number), "location": location, "extra": [{"a": 1}, {"b": [{}, {}]}, {"token": "y"}]}
        for number in range(20)
    ]
    for indent in (None, 0, 2):
        (tmp_path / "log.json").write_text(json.dumps(rows, indent=indent, ensure_ascii=False))
        records = list(TableReader(tmp_path, stop_at_problem).records(Log))
        assert [(record.token, record.location) for record in records] == [(str(n), location) for n in range(20)]


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("sample_data", {"timestamp": "now"}, "'timestamp' is the text 'now'"),
        ("sample_annotation", {"size": [0, 1, 1]}, "the size is no box"),
    ],
)
def test_problems_outlive_the_reading_of_the_tables(
    copy: Path, monkeypatch: pytest.MonkeyPatch, table: str, change: dict, words: str
) -> None:
    """Who opens tables that were read before is told of the same problems, and a training is refused as ever."""
    change_record(copy, table, change)
    nuscenes = load_taxonomy("nuscenes")
    found = []
    for _ in range(2):
        index = DatasetIndex.open(copy, VERSION, keep_broken=True)
        annotations = AnnotationIndex.open(index, nuscenes, keep_broken=True)
        found.append([*index.problems, *annotations.problems])
        monkeypatch.setattr("avjepa.data.nuscenes.index.build_index", None)
        monkeypatch.setattr("avjepa.data.nuscenes.annotations.build_annotations", None)
    assert found[0] == found[1] != []
    assert words in refusal(copy)


def test_annotations_are_read_again_once_the_table_of_drives_is_mended(copy: Path) -> None:
    """A scene without its log is left out, and its boxes with it, until the log is back."""
    whole = AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))
    logs = copy / VERSION / "log.json"
    content = logs.read_text()
    logs.write_text("[]")
    broken = AnnotationIndex.open(
        DatasetIndex.open(copy, VERSION, keep_broken=True), load_taxonomy("nuscenes"), keep_broken=True
    )
    assert len(broken) == 0
    logs.write_text(content)
    assert len(AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))) == len(whole)
