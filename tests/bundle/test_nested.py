"""Any tree of modules comes back from plain values, and a manifest imports nothing that the user did not name."""

import json
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from avjepa.bundle import TRUSTED
from avjepa.bundle.construction import architecture, build, import_trusted, require_trusted
from avjepa.bundle.files import load_bundle, manifest_path_of, save_bundle
from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import load_taxonomy
from avjepa.encoders.base import BEVBackbone, BEVMap, SensorEncoder
from avjepa.encoders.bundled import load_backbone, load_encoder, read_backbone_manifest
from avjepa.errors import UserError
from avjepa.heads.detection import CenterPointOptions
from avjepa.model.neck import SecondFPNOptions
from avjepa.model.perception_model import PerceptionModel
from tests.finetune.toys import GRID, CountingEncoder, toy_batch


class Mean(Rebuildable):
    """A fuser."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        mixed: Tensor = self.mix(torch.stack(maps).mean(0))
        return mixed


class Fused(BEVBackbone):
    """Several encoders by name, and a fuser."""

    def __init__(self, encoders: dict[str, SensorEncoder], fuser: Mean) -> None:
        super().__init__()
        self.encoders, self.fuser = nn.ModuleDict(encoders), fuser
        first = next(iter(encoders.values()))
        self.token_grid, self.out_channels = first.token_grid, first.out_channels

    def forward(self, batch: Batch) -> BEVMap:
        maps = [encoder(batch) for encoder in self.encoders.values()]
        return BEVMap(self.fuser([one.features for one in maps]), maps[0].observed)


def perception_model() -> PerceptionModel:
    torch.manual_seed(0)
    fused = Fused({"near": CountingEncoder(), "far": CountingEncoder(dropout=0.5)}, Mean(4))
    neck = SecondFPNOptions((8,), 1, 8).build(fused.out_channels, fused.token_grid)
    heads = {
        "detection": CenterPointOptions(shared_channels=8, channels=8).build(
            neck.out_channels, neck.grid, load_taxonomy("nuscenes")
        )
    }
    return PerceptionModel(fused, neck, heads, {"detection": 2.0}).eval()


def test_a_model_of_several_encoders_fuser_neck_and_heads_comes_back_whole(tmp_path: Path) -> None:
    model = perception_model()
    save_bundle(model, tmp_path, {})
    again = load_bundle(PerceptionModel, tmp_path)
    assert architecture(again) == architecture(model)
    assert torch.equal(again(toy_batch(3)), model(toy_batch(3)))
    backbone = again.backbone
    assert isinstance(backbone, Fused) and list(backbone.encoders) == ["near", "far"]


def test_the_values_a_module_is_built_from_stay_as_they_are() -> None:
    node = architecture(perception_model().backbone)
    before = deepcopy(node)
    again = build(BEVBackbone, node, "here")  # type: ignore[type-abstract]
    assert architecture(again) == before
    assert node == before and type(node["init_args"]["encoders"]["near"]["init_args"]) is dict


def test_a_fused_backbone_is_a_backbone_and_no_encoder(tmp_path: Path) -> None:
    backbone = perception_model().backbone
    save_bundle(backbone, tmp_path, {})
    batch = toy_batch(1)
    assert torch.equal(load_backbone(tmp_path)(batch).features, backbone(batch).features)
    assert read_backbone_manifest(tmp_path).facts["out_channels"] == 4
    with pytest.raises(UserError, match=r"config\.json.*SensorEncoder"):
        load_encoder(tmp_path)


def as_version_1(directory: Path) -> None:
    """Rewrite a bundle's manifest as the first version of it was written."""
    path = manifest_path_of(directory)
    now = json.loads(path.read_text())
    before = {**now["architecture"], **now["facts"]}
    before |= {name: now[name] for name in ("tensors", "parameters", "sha256", "avjepa_version", "provenance")}
    path.write_text(json.dumps(before))


def test_a_bundle_of_version_1_is_read(tmp_path: Path) -> None:
    encoder = CountingEncoder().eval()
    save_bundle(encoder, tmp_path, {"seed": 3})
    as_version_1(tmp_path)
    manifest = read_backbone_manifest(tmp_path)
    assert manifest.format_version == 1 and manifest.provenance == {"seed": 3}
    assert torch.equal(load_encoder(tmp_path)(toy_batch(0)).features, encoder(toy_batch(0)).features)


def test_a_newer_version_asks_for_an_update(tmp_path: Path) -> None:
    save_bundle(CountingEncoder(), tmp_path, {})
    path = manifest_path_of(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99, "surprise": 1}))
    with pytest.raises(UserError, match=r"format version 99.*update avjepa"):
        load_encoder(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that leaves a trace when it is imported."""
    name = "a_strangers_module"
    (tmp_path / f"{name}.py").write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
        "from tests.finetune.toys import CountingEncoder\nclass Theirs(CountingEncoder):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


@pytest.mark.parametrize("place", ["class_path", "argument", "nested", "file"])
def test_nothing_that_a_manifest_names_is_imported(stranger: str, tmp_path: Path, place: str) -> None:
    theirs = f"{stranger}.Theirs"
    (tmp_path / "their.txt").write_text(f"class_path: {theirs}")
    node = {
        "file": {
            "class_path": "avjepa.encoders.lidar.LidarEncoder",
            "init_args": {"token_grid": str(tmp_path / "their.txt")},
        },
        "class_path": {"class_path": theirs, "init_args": {}},
        "argument": {"class_path": "avjepa.encoders.lidar.LidarEncoder", "init_args": {"token_grid": theirs}},
        "nested": {
            "class_path": "avjepa.encoders.lidar.LidarEncoder",
            "init_args": {"token_grid": [{"class_path": theirs}]},
        },
    }[place]
    with pytest.raises(UserError, match=f"names {theirs}, .*--trust {stranger}"):
        build(SensorEncoder, node, "config.json")  # type: ignore[type-abstract]
    assert not (tmp_path / f"{stranger}.ran").exists() and stranger not in sys.modules


def test_what_the_user_trusts_is_imported(stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED, f"other,{stranger}")
    node = {"class_path": f"{stranger}.Theirs", "init_args": {}}
    built = build(SensorEncoder, node, "config.json")  # type: ignore[type-abstract]
    assert built.token_grid == GRID


def test_a_text_that_nothing_can_be_imported_by_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\x80\xff")
    require_trusted({"weights": "no_such_module.safetensors", "file": str(tmp_path / "weights")}, "config.yaml")
    with pytest.raises(UserError, match=r"names no_such_module\.Theirs"):
        require_trusted({"class_path": "no_such_module.Theirs"}, "config.yaml")


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module.part", "avjepa.nothing", "no such"])
def test_a_trusted_module_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED, f"json,{name}")
    with pytest.raises(UserError, match=f"--trust {name}.*PYTHONPATH"):
        import_trusted()
    monkeypatch.setenv(TRUSTED, "json, avjepa.bundle,")
    import_trusted()


def test_a_trusted_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module_of_mine.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(TRUSTED, "broken_module_of_mine")
    with pytest.raises(UserError, match=r"--trust broken_module_of_mine: importing it fails .*no_such_library"):
        import_trusted()


@pytest.mark.parametrize("depth", [60, 100_000])
def test_a_bomb_of_nesting_is_one_line(tmp_path: Path, depth: int) -> None:
    save_bundle(CountingEncoder(), tmp_path, {})
    path = manifest_path_of(tmp_path)
    content = json.loads(path.read_text())
    content["architecture"]["init_args"]["grid"] = "@"
    path.write_text(json.dumps(content).replace('"@"', "[" * depth + "]" * depth))
    with pytest.raises(UserError, match=r"config\.json") as error:
        load_encoder(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"tensors": 1}, {"parameters": 3}])
def test_weights_of_another_number_than_the_manifest_says(tmp_path: Path, change: dict[str, int]) -> None:
    save_bundle(CountingEncoder(), tmp_path, {})
    path = manifest_path_of(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"model\.safetensors: holds .* tensors, config\.json says"):
        load_encoder(tmp_path)
