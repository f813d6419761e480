"""Taxonomies: that of nuScenes against the devkit and CenterPoint's tables; files with mistakes."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.constants import ATTRIBUTE_NAMES, DETECTION_NAMES
from nuscenes.eval.detection.utils import category_to_detection_name, detection_name_to_rel_attributes

from avjepa.data.taxonomy import AttributeRule, ClassGroup, Taxonomy, load_taxonomy
from avjepa.errors import UserError

NUSCENES = load_taxonomy("nuscenes")

OWN = {
    "classes": ["Car", "Walker"],
    "categories": {"PASSENGER_CAR": "Car", "TRUCK": "Car", "PERSON": "Walker", "SIGN": None},
    "groups": [{"classes": ["Car"], "nms_radius": 2}, {"classes": ["Walker"], "nms_radius": 0.4}],
    "ranges": {"Car": 60, "Walker": 40},
}


def test_nuscenes_classes_and_categories_are_the_devkits() -> None:
    assert sorted(NUSCENES.classes) == sorted(DETECTION_NAMES)
    for category, name in NUSCENES.categories.items():
        assert category_to_detection_name(category) == name
        assert NUSCENES.class_of(category) == (-1 if name is None else NUSCENES.classes.index(name))
    assert NUSCENES.class_of("vehicle.spaceship") == -1


def test_every_category_of_real_nuscenes_is_known(realdata: Path) -> None:
    table = json.loads((realdata / "nuscenes_minival_metadata" / "v1.0-mini" / "category.json").read_text())
    assert {record["name"] for record in table} == set(NUSCENES.categories)
    for record in table:
        assert NUSCENES.categories[record["name"]] == category_to_detection_name(record["name"])


def test_nuscenes_ranges_and_attributes_are_the_devkits() -> None:
    assert NUSCENES.ranges == config_factory("detection_cvpr_2019").class_range
    for name in NUSCENES.classes:
        allowed = detection_name_to_rel_attributes(name) or [""]
        assert {NUSCENES.attribute_of(name, 0.1), NUSCENES.attribute_of(name, 5.0)} <= set(allowed)


def test_nuscenes_attributes_are_all_of_the_devkits() -> None:
    assert sorted(NUSCENES.attribute_names()) == sorted(ATTRIBUTE_NAMES)
    assert {name for name in NUSCENES.classes if not detection_name_to_rel_attributes(name)} == {
        name for name in NUSCENES.classes if name not in NUSCENES.attributes
    }


def test_nuscenes_groups_are_centerpoints() -> None:
    # det3d/configs/nusc: tasks and test_cfg.min_radius (squared) of CenterPoint
    squared = {
        ("car",): 4, ("truck", "construction_vehicle"): 12, ("bus", "trailer"): 10, ("barrier",): 1,
        ("motorcycle", "bicycle"): 0.85, ("pedestrian", "traffic_cone"): 0.175,
    }  # fmt: skip
    assert [group.classes for group in NUSCENES.groups] == list(squared)
    for group in NUSCENES.groups:
        assert group.nms_radius == pytest.approx(squared[group.classes] ** 0.5, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "speed", "attribute"),
    [
        ("car", 0.21, "vehicle.moving"),
        ("car", 0.2, "vehicle.parked"),
        ("bus", 0.0, "vehicle.stopped"),
        ("bicycle", 3.0, "cycle.with_rider"),
        ("pedestrian", 0.0, "pedestrian.standing"),
        ("barrier", 9.0, ""),
    ],
)
def test_attribute_of_a_class_and_speed(name: str, speed: float, attribute: str) -> None:
    assert NUSCENES.attribute_of(name, speed) == attribute


def test_a_taxonomy_of_another_data_set(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(OWN))
    own = load_taxonomy(str(path))
    assert own.classes == ("Car", "Walker")
    assert [own.class_of(name) for name in ("PASSENGER_CAR", "TRUCK", "PERSON", "SIGN", "DOG")] == [0, 0, 1, -1, -1]
    assert own.groups == (ClassGroup(("Car",), 2.0), ClassGroup(("Walker",), 0.4))
    assert own.attribute_of("Car", 9.0) == ""
    assert own.attribute_names() == own.half_turn == ()


def test_a_taxonomy_is_rebuilt_from_json() -> None:
    parser = ArgumentParser()
    parser.add_argument("--taxonomy", type=Taxonomy)
    parsed = parser.parse_object({"taxonomy": json.loads(json.dumps(asdict(NUSCENES)))})
    assert parser.instantiate_classes(parsed).taxonomy == NUSCENES
    assert NUSCENES.attributes["bus"] == AttributeRule("vehicle.moving", "vehicle.stopped")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": []}, "classes: is empty"),
        ({"classes": "Car"}, "classes: expected a list of names, got 'Car'"),
        ({"classes": ["Car", "Car"]}, "classes: names 'Car' twice"),
        ({"classes": ["Car", 3]}, "classes: expected a name, got '3'"),
        ({"categories": {"TRAM": "Train"}}, "categories: TRAM: does not know 'Train'; choose from Car, Walker"),
        ({"categories": {1: "Car"}}, "categories: expected a mapping of names"),
        ({"groups": [{"classes": ["Car"], "nms_radius": 2}]}, "groups: 'Walker' is in 0 groups"),
        ({"groups": [{"classes": ["Car"], "radius": 2}]}, "groups: number 1: lacks 'nms_radius'"),
        ({"groups": [{"classes": ["Car"], "nms_radius": -1}]}, "groups: number 1: nms_radius: must be a positive"),
        ({"groups": [None]}, "groups: number 1: expected a mapping of names, got nothing"),
        ({"groups": {}}, "groups: expected a list"),
        ({"ranges": {"Car": 60}}, "ranges: lacks 'Walker'"),
        ({"ranges": {"Car": 60, "Walker": "far"}}, "ranges: Walker: expected a number, got 'far'"),
        ({"ranges": {"Car": 60, "Walker": float("nan")}}, "ranges: Walker: must be a positive number"),
        ({"attributes": {"Car": {"moving": "fast", "still": "slow"}}}, "attributes: need a moving_speed"),
        ({"attributes": {"Tram": None}, "moving_speed": 1}, "attributes: does not know 'Tram'"),
        ({"half_turn": ["Tram"]}, "half_turn: does not know 'Tram'; choose from Car, Walker"),
        ({"ignored_inside": {"RACK": ["Walker"]}}, "ignored_inside: does not know 'RACK'"),
        ({"ignored_inside": {"SIGN": "Walker"}}, "ignored_inside: SIGN: expected a list of names"),
        ({"colours": {}}, "does not know 'colours'; choose from classes, categories"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changes}))
    with pytest.raises(UserError) as caught:
        load_taxonomy(str(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"classes: [Car", "cannot be read as YAML"),
        (b"classes: [Car]\nclasses: [Bus]\n", "'classes' is said twice"),
        (b"- Car\n", "expected a mapping of names, got a list"),
        (b"", "got nothing"),
        ("classes: [Stra\u00dfe]".encode("latin-1"), "cannot be read as YAML"),
        (b"[" * 5000, "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_such_yaml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"own\.yaml") as caught:
        load_taxonomy(str(path))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="taxonomy 'kitti': no such file; give a path, or one of argoverse2, nuscenes"):
        load_taxonomy("kitti")


def test_taxonomies_of_one_name_are_told_apart_by_what_they_say() -> None:
    nuscenes = load_taxonomy("nuscenes")
    assert replace(nuscenes).digest() == nuscenes.digest()
    assert replace(nuscenes, ranges={**nuscenes.ranges, "car": 49.0}).digest() != nuscenes.digest()
    assert replace(nuscenes, categories={**nuscenes.categories, "animal": "car"}).digest() != nuscenes.digest()
