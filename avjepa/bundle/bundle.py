"""Backbone bundles: ``backbone.safetensors`` beside ``backbone.json``, from which an encoder is rebuilt strictly.

The manifest names the encoder's class and constructor arguments as YAML does; nothing is ever unpickled.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import avjepa
from avjepa.encoders.base import SensorEncoder
from avjepa.errors import UserError
from avjepa.files import replacing, write_json
from avjepa.geometry.grid import BEVGrid

WEIGHTS = "backbone.safetensors"
MANIFEST = "backbone.json"


@dataclass(frozen=True)
class Manifest:
    """What ``backbone.json`` says.

    Attributes:
        class_path: import path of the encoder's class.
        init_args: its constructor arguments as plain values.
        token_grid: the grid of the BEV map.
        out_channels: channels of the BEV map.
        tensors: how many tensors the weights file holds.
        parameters: how many numbers they hold.
        sha256: of the weights file.
        avjepa_version: version that wrote it.
        provenance: where the weights come from; free-form.
    """

    class_path: str
    init_args: dict[str, Any]
    token_grid: dict[str, float]
    out_channels: int
    tensors: int
    parameters: int
    sha256: str
    avjepa_version: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class TensorCounts:
    """How the tensors of a file and those of a module fit together."""

    matched: int
    missing: int
    unexpected: int
    misshapen: int

    def __str__(self) -> str:
        return (
            f"{self.matched} tensors matched, {self.missing} missing, {self.unexpected} unexpected, "
            f"{self.misshapen} misshapen"
        )


def plain(value: Any) -> Any:
    """A constructor argument as JSON holds it: dataclasses become dictionaries, tuples lists, paths strings.

    Raises:
        TypeError: the value is none of these, so a manifest could not rebuild it.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be written to a manifest")


def architecture(encoder: SensorEncoder) -> dict[str, Any]:
    """``class_path`` and ``init_args`` from which ``build_encoder`` makes the same module, without its weights."""
    cls = type(encoder)
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": plain(encoder.bundle_arguments())}


def build_encoder(class_path: str, init_args: Mapping[str, Any], source: str) -> SensorEncoder:
    """Build an encoder from plain values, as the command line does from YAML. Its weights are new.

    Args:
        class_path: import path of a subclass of ``SensorEncoder``.
        init_args: constructor arguments; dataclasses as dictionaries.
        source: what to call the origin of these values in an error.

    Raises:
        UserError: there is no such encoder class, or it does not take these arguments.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SensorEncoder, "encoder", required=True)
    try:
        parsed = parser.parse_object({"encoder": {"class_path": class_path, "init_args": dict(init_args)}})
        encoder = parser.instantiate_classes(parsed).encoder
    except (ArgumentError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: cannot build {class_path} ({reason}); it must be a SensorEncoder of this version of avjepa"
        ) from error
    assert isinstance(encoder, SensorEncoder)
    return encoder


def state_hash(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers, non-persistent ones included.

    Equal before and after training for a module that was really frozen, running statistics included.
    """
    digest = hashlib.sha256()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> TensorCounts:
    """Copy tensors into a module: every one of them and nothing else, or none.

    Args:
        module: receives the tensors by the names of its ``state_dict``.
        tensors: by name.
        source: what to call their origin in an error.

    Raises:
        UserError: a tensor is missing, unexpected or of another shape; the message names the first ones.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    shared = [name for name in wanted if name in tensors]
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in shared
        if tensors[name].shape != wanted[name].shape
    ]
    counts = TensorCounts(len(shared) - len(misshapen), len(missing), len(unexpected), len(misshapen))
    wrong = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
    if any(wrong.values()):
        named = "; ".join(
            f"{word}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
            for word, names in wrong.items()
            if names
        )
        raise UserError(f"{source}: {counts} ({named}); use weights of the same architecture")
    module.load_state_dict(dict(tensors))
    return counts


def save_bundle(encoder: SensorEncoder, directory: str | Path, provenance: Mapping[str, Any]) -> Manifest:
    """Write an encoder as a bundle. The manifest comes last: a directory without it is no bundle.

    Args:
        encoder: its parameters and persistent buffers are written as they are.
        directory: created if need be; a bundle that is there is replaced.
        provenance: where the weights come from: configuration, seed, step, data fingerprint. Plain values.
    """
    directory = Path(directory)
    # clones, because safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in encoder.state_dict().items()}
    manifest_path = directory / MANIFEST
    manifest_path.unlink(missing_ok=True)
    with replacing(directory / WEIGHTS) as temporary:
        save_file(tensors, temporary)
        sha256 = _file_sha256(temporary)
    manifest = Manifest(
        **architecture(encoder),
        token_grid=asdict(encoder.token_grid),
        out_channels=encoder.out_channels,
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        sha256=sha256,
        avjepa_version=avjepa.__version__,
        provenance=plain(provenance),
    )
    write_json(manifest_path, asdict(manifest))
    return manifest


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        UserError: it is missing, no JSON, or lacks an entry.
    """
    path = Path(directory) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; a backbone bundle holds {MANIFEST} and {WEIGHTS}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); export the backbone again") from error
    expected = {field.name for field in fields(Manifest)}
    if not isinstance(content, dict) or content.keys() != expected:
        found = set(content) if isinstance(content, dict) else set()
        difference = ", ".join(sorted(expected ^ found))
        raise UserError(f"{path}: not a manifest of this version ({difference} missing or unknown); export it again")
    types = {"class_path": str, "init_args": dict, "token_grid": dict, "tensors": int, "sha256": str}
    for name, type_ in types.items():
        if not isinstance(content[name], type_):
            raise UserError(f"{path}: {name} must be a {type_.__name__}; export the backbone again")
    return Manifest(**content)


def load_bundle(directory: str | Path, expected_grid: BEVGrid | None = None) -> SensorEncoder:
    """Rebuild the encoder of a bundle with its weights, on the CPU, in evaluation mode.

    Args:
        directory: holds ``backbone.safetensors`` and ``backbone.json``.
        expected_grid: the token grid that the caller works on, if it does not take the bundle's.

    Raises:
        UserError: a file is missing or damaged, the weights are not those of the manifest, a tensor is missing,
            unexpected or misshapen, the class is no encoder, or the grid is another one.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    source = str(directory / MANIFEST)
    encoder = build_encoder(manifest.class_path, manifest.init_args, source)
    if expected_grid is not None and encoder.token_grid != expected_grid:
        raise UserError(
            f"{source}: the backbone works on {encoder.token_grid}, not on {expected_grid}; "
            "configure its grid or pre-train on this one"
        )
    path = directory / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: no such file; a backbone bundle holds {MANIFEST} and {WEIGHTS}")
    if _file_sha256(path) != manifest.sha256:
        raise UserError(
            f"{path}: is damaged or not the file that {MANIFEST} describes (sha256 differs); copy both again"
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); copy it again") from error
    counts = load_strictly(encoder, tensors, str(path))
    print(f"{directory}: {counts}", file=sys.stderr)
    return encoder.eval()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
