"""A bundle rebuilds an encoder from plain data, and refuses whatever does not fit."""

import copy
import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from jaxtyping import Bool
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avjepa.bundle.construction import architecture
from avjepa.bundle.files import load_bundled_weights, save_bundle
from avjepa.bundle.weights import load_strictly, state_hash
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens
from avjepa.encoders.bundled import load_encoder, read_backbone_manifest
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid

GRID = BEVGrid(-8.0, 8.0, -4.0, 4.0, 1.0)


@dataclass(frozen=True)
class Stem:
    width: int = 4
    strides: tuple[int, ...] = (1, 2)


class ToyEncoder(SensorEncoder):
    """Has every kind of argument that a manifest must carry."""

    def __init__(
        self,
        grid: BEVGrid,
        channels: int,
        stem: Stem | None = None,
        height: tuple[float, float] = (-3.0, 5.0),
        weights: str | None = None,
        **extra: float,
    ) -> None:
        super().__init__()
        if weights is not None and not Path(weights).exists():
            raise UserError(f"{weights}: no such file")
        self.token_grid, self.out_channels, self.intermediate_channels = grid, channels, ()
        self.stem, self.height, self.extra = stem, height, extra
        self.convolution = nn.Conv2d(2, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.register_buffer("mean", torch.zeros(2), persistent=False)

    def bundle_arguments(self) -> dict[str, object]:
        return super().bundle_arguments() | {"weights": None}

    def tokenise(self, batch: Batch) -> Tokens:
        raise NotImplementedError

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        raise NotImplementedError


@pytest.fixture
def encoder() -> ToyEncoder:
    torch.manual_seed(3)
    encoder = ToyEncoder(GRID, 6, stem=Stem(8, (2, 4)), height=(-1.0, 2.0))
    with torch.no_grad():
        encoder.norm(encoder.convolution(torch.randn(2, 2, 8, 16)))  # moves the running statistics
    return encoder


def test_a_bundle_rebuilds_class_arguments_weights_and_running_statistics(encoder: ToyEncoder, tmp_path: Path) -> None:
    manifest = save_bundle(encoder, tmp_path / "bundle", {"objective": "jepa", "step": 100})
    rebuilt = load_encoder(tmp_path / "bundle")
    assert isinstance(rebuilt, ToyEncoder)
    assert (rebuilt.token_grid, rebuilt.stem, rebuilt.height) == (GRID, Stem(8, (2, 4)), (-1.0, 2.0))
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[name], tensor), name
    assert not torch.equal(rebuilt.norm.running_mean, torch.zeros(6))
    # a conv's weight and bias; a norm's weight, bias, mean, variance, counter
    assert manifest.tensors == 7 and manifest.parameters == 6 * 2 * 9 + 6 + 4 * 6 + 1
    assert read_backbone_manifest(tmp_path / "bundle").provenance == {"objective": "jepa", "step": 100}
    assert not rebuilt.training


def test_positional_and_default_arguments_are_noted_alike() -> None:
    positional, named = ToyEncoder(GRID, 6), ToyEncoder(channels=6, grid=GRID)
    assert architecture(positional) == architecture(named)
    assert architecture(positional)["init_args"]["height"] == [-3.0, 5.0]


def test_copies_keep_the_noted_arguments(encoder: ToyEncoder) -> None:
    for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert architecture(twin) == architecture(encoder)


def test_further_keyword_arguments_are_noted_by_their_names() -> None:
    assert architecture(ToyEncoder(GRID, 6, gain=2.0))["init_args"]["gain"] == 2.0


def test_a_wrong_call_fails_as_usual() -> None:
    with pytest.raises(TypeError, match="channels"):
        ToyEncoder(GRID)


def test_files_to_start_from_are_not_needed_again(tmp_path: Path) -> None:
    start = tmp_path / "imagenet.safetensors"
    start.touch()
    save_bundle(ToyEncoder(GRID, 6, weights=str(start)), tmp_path / "bundle", {})
    start.unlink()
    load_encoder(tmp_path / "bundle")


def test_loading_says_how_many_tensors_matched(
    encoder: ToyEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(encoder, tmp_path, {})
    load_encoder(tmp_path)
    assert "7 tensors matched, 0 missing, 0 unexpected, 0 misshapen" in capsys.readouterr().err


def rewritten(directory: Path, tensors: dict[str, Tensor]) -> None:
    """Replace the weights and make the manifest agree."""
    save_file(tensors, directory / "model.safetensors")
    manifest = json.loads((directory / "config.json").read_text())
    manifest["sha256"] = hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()
    (directory / "config.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("norm.bias"), r"1 missing.*norm\.bias"),
        (lambda t: t.update(head=torch.zeros(2)), r"1 unexpected.*head"),
        (lambda t: t.update({"norm.bias": torch.zeros(5)}), r"1 misshapen.*norm\.bias \(5,\) instead of \(6,\)"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(encoder: ToyEncoder, tmp_path: Path, change: object, message: str) -> None:
    save_bundle(encoder, tmp_path, {})
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)  # type: ignore[operator]
    rewritten(tmp_path, tensors)
    with pytest.raises(UserError, match=message):
        load_encoder(tmp_path)


def test_a_failed_strict_load_changes_nothing() -> None:
    layer = nn.Linear(2, 2)
    before = state_hash(layer)
    with pytest.raises(UserError):
        load_strictly(layer, {"weight": torch.zeros(2, 2)}, "file")
    assert state_hash(layer) == before


def test_damaged_weights_are_refused(encoder: ToyEncoder, tmp_path: Path) -> None:
    save_bundle(encoder, tmp_path, {})
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="sha256"):
        load_encoder(tmp_path)


def test_another_grid_is_refused(encoder: ToyEncoder, tmp_path: Path) -> None:
    save_bundle(encoder, tmp_path, {})
    other = ToyEncoder(BEVGrid(-8.0, 8.0, -4.0, 4.0, 2.0), 6)
    before = state_hash(other)
    with pytest.raises(UserError, match=r"token_grid.*'cell': 1\.0.*'cell': 2\.0"):
        load_bundled_weights(other, tmp_path)
    assert state_hash(other) == before


@pytest.mark.parametrize(
    "class_path",
    ["torch.nn.Linear", "os.system", "avjepa.encoders.nothing.Encoder", "avjepa.encoders.base.SensorEncoder"],
)
def test_a_class_that_is_no_encoder_is_refused(encoder: ToyEncoder, tmp_path: Path, class_path: str) -> None:
    save_bundle(encoder, tmp_path, {})
    path = tmp_path / "config.json"
    manifest = json.loads(path.read_text())
    manifest["architecture"]["class_path"] = class_path
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"cannot build|not in avjepa"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"class_path": 3}', "\x80\x04"])
def test_an_unreadable_manifest_is_one_clear_line(encoder: ToyEncoder, tmp_path: Path, content: str) -> None:
    save_bundle(encoder, tmp_path, {})
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.json") as error:
        load_encoder(tmp_path)
    assert "\n" not in str(error.value)


def test_pickles_are_not_opened(encoder: ToyEncoder, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(tmp_path / "executed").touch, ())  # type: ignore[return-value]

    save_bundle(encoder, tmp_path, {})
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    manifest = json.loads((tmp_path / "config.json").read_text())
    manifest["sha256"] = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "config.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="safetensors"):
        load_encoder(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_named(tmp_path: Path, encoder: ToyEncoder) -> None:
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load_encoder(tmp_path)
    save_bundle(encoder, tmp_path, {})
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
        load_encoder(tmp_path)


def test_a_bundle_of_an_older_avjepa_says_how_it_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "backbone.json").write_text("{}")
    with pytest.raises(UserError, match=r"rename backbone\.json config\.json, and backbone\.safetensors model\."):
        load_encoder(tmp_path)
    (tmp_path / "backbone.json").unlink()
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match=r"rename model\.json config\.json$"):
        load_encoder(tmp_path)


def test_state_hash_sees_parameters_and_every_buffer(encoder: ToyEncoder) -> None:
    before = state_hash(encoder)
    assert state_hash(copy.deepcopy(encoder)) == before
    changes = (encoder.convolution.bias, encoder.norm.running_var, encoder.norm.num_batches_tracked, encoder.mean)
    seen = {before}
    for tensor in changes:
        with torch.no_grad():
            tensor += 1  # type: ignore[operator]
        seen.add(state_hash(encoder))
    assert len(seen) == 5
