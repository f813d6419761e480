"""``avjepa view`` of a whole scene: an animation, and a recording that is read back."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from avjepa import cli
from avjepa.data.datasets import open_dataset
from avjepa.report.style import CLASS_COLOURS
from tests.commands.test_bad_input import refused
from tests.commands.test_view import is_picture
from tests.data.conftest import VERSION

SECONDS = "seconds"


def view(data: Path, version: str, *options: object) -> int:
    return cli.main(["view", "--data", str(data), "--version", version, *map(str, options)])


def columns(path: Path) -> dict[str, list[list]]:
    """What a recording holds: by entity and component, a list of values at each of its times."""
    rerun = pytest.importorskip("rerun")
    recording = rerun.dataframe.load_recording(str(path))
    table = recording.view(index=SECONDS, contents="/**").select().read_all().to_pydict()
    found = {name.strip("/"): values for name, values in table.items() if ":" in name}
    return found | {SECONDS: table[SECONDS]}


def test_recording_holds_what_the_scene_holds(tiny: Path, tmp_path: Path, capfd) -> None:
    dataset = open_dataset(tiny, VERSION)
    moments = dataset.moments([dataset.scene_names[1]], keyframes_only=True).tolist()
    (tmp_path / "found.json").write_text(json.dumps({"meta": {}, "results": found_in(dataset, moments)}))
    out = tmp_path / "scene.rrd"
    code = view(
        tiny, VERSION, "--scene", 1, "--rerun", out, "--bundle", "zoo:radar-tiny", "--predictions",
        tmp_path / "found.json",
    )  # fmt: skip
    assert code == 0, capfd.readouterr().err
    recorded = columns(out)
    seconds = [one.total_seconds() for one in recorded[SECONDS]]
    assert seconds == pytest.approx(
        [(dataset.time_of(moment) - dataset.time_of(moments[0])) * 1e-6 for moment in moments]
    )
    numbers = [len(dataset.labels(moment)) for moment in moments]
    assert [len(boxes) for boxes in recorded["world/ego/labels:HalfSize3D"]] == numbers
    assert [len(boxes) for boxes in recorded["world/ego/predictions:HalfSize3D"]] == [1, 0, 0, 0]
    assert recorded["world/ego/predictions:Text"][0] == ["car 0.90"]
    first = dataset.labels(moments[0]).boxes[0]
    assert np.array(recorded["world/ego/labels:HalfSize3D"][0][0]) * 2 == pytest.approx(first[3:6].numpy())
    assert np.array(recorded["world/ego/labels:PoseTranslation3D"][0][0]) == pytest.approx(first[:3].numpy())
    moved = [np.array(one[0]) for one in recorded["world/ego:Translation3D"]]
    poses = [dataset.global_from_level(moment)[:3, 3].numpy() for moment in moments]
    assert moved[0] == pytest.approx(np.zeros(3))
    assert moved[1] == pytest.approx(poses[1] - poses[0], abs=1e-4)
    assert {name.split(":")[0] for name in recorded if name.endswith(":PinholeProjection")} == {
        "world/ego/CAM_FRONT", "world/ego/CAM_BACK",
    }  # fmt: skip
    cells = [len(cells) for cells in recorded["world/ego/embeddings:Position3D"]]
    assert min(cells) > 0 and [len(one) for one in recorded["world/ego/embeddings:Color"]] == cells
    assert min(len(one) for one in recorded["world/ego/mask:Position3D"]) > 0
    assert [len(one) for one in recorded["world/ego/lidar:Position3D"]] == [42] * 4  # 44 in a file, two on the vehicle
    assert min(len(one) for one in recorded["world/ego/radar:Vector3D"]) >= 14
    assert not list(Path().glob("sample.png"))


def found_in(dataset, moments: list[int]) -> dict:
    box = {
        "translation": [0, 0, 1], "size": [1.8, 4.4, 1.5], "rotation": [1, 0, 0, 0], "velocity": [0, 0],
        "detection_name": "car", "detection_score": 0.9, "attribute_name": "",
    }  # fmt: skip
    first, second, *others = (dataset.token_of(moment) for moment in moments)
    unsure = box | {"sample_token": second, "detection_score": 0.1}
    return {first: [box | {"sample_token": first}], second: [unsure]} | {key: [] for key in others}


def test_animation_has_every_keyframe_and_the_colours_of_the_classes(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "scene.gif"
    assert view(tiny, VERSION, "--scene", "scene-0001", "--gif", out, "--out", tmp_path / "still.png") == 0
    assert is_picture(tmp_path / "still.png")
    with Image.open(out) as animation:
        assert animation.n_frames == 4
        animation.seek(1)
        assert animation.info["duration"] == 500
        seen = {colour for _, colour in animation.convert("RGB").getcolors(1 << 24)}
    assert tuple(round(255 * part) for part in to_rgb(CLASS_COLOURS["car"])) in seen


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scene", "9"], ["--scene 9", "2 scenes", "scene-0000"]),
        (["--scene", "0", "--index", "4"], ["--index 4", "scene-0000 has 4 keyframes"]),
        (["--gif", "x.png"], ["--gif", ".gif"]),
        (["--rerun", "x.gif"], ["--rerun", ".rrd"]),
        (["--bundle", "zoo:lidar-tiny"], ["--bundle", "--rerun OUT.rrd"]),
    ],
)
def test_what_cannot_be_played_is_refused(tiny: Path, capfd, options: list[str], words: list[str]) -> None:
    refused(capfd, view(tiny, VERSION, *options), *words)


def test_without_rerun_one_line_says_what_to_install(tiny: Path, tmp_path: Path, capfd, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    refused(capfd, view(tiny, VERSION, "--rerun", tmp_path / "x.rrd"), "--rerun", "pip install 'avjepa[rerun]'")
    assert not list(tmp_path.iterdir())
