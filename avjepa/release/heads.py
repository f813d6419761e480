"""Weights of a release: neck and heads, without the backbone that many releases share."""

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avjepa.bundle.weights import TensorCounts, first_differences, require_fitting
from avjepa.errors import UserError
from avjepa.files import replacing
from avjepa.model.perception_model import PerceptionModel

FILE = "heads.safetensors"


def save_heads(model: PerceptionModel, folder: Path) -> str:
    """Write them; returns the file's sha256."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in _above(model).state_dict().items()}
    with replacing(folder / FILE) as temporary:
        save_file(tensors, temporary)
    return file_sha256(folder / FILE)


def load_heads(model: PerceptionModel, folder: Path, sha256: str) -> None:
    """Copy the weights of a release into a model that is built like it: every tensor and nothing else.

    Raises:
        UserError: the file is missing, damaged, another one, or of another architecture.
    """
    tensors = _read(folder, sha256)
    above = _above(model)
    require_fitting(above, tensors, str(folder / FILE))
    above.load_state_dict(tensors)


def start_from(model: PerceptionModel, folder: Path, sha256: str) -> TensorCounts:
    """Copy what a release has in common with a model, heads by the name of their task; returns how much that is.

    A head whose shapes differ, for other classes say, starts anew as a whole.

    Raises:
        UserError: as for ``load_heads``; or nothing fits.
    """
    tensors, above = _read(folder, sha256), _above(model)
    wanted = above.state_dict()
    other_parts = {_part(name) for name in wanted if name not in tensors or tensors[name].shape != wanted[name].shape}
    taken = {name: tensors[name] for name in wanted if _part(name) not in other_parts}
    if not taken:
        missing = [name for name in wanted if name not in tensors]
        misshapen = [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
        raise UserError(
            f"--start_from {folder.name}: none of its heads is like one of these "
            f"({first_differences(missing, [], misshapen)}); leave the option out, or give heads of the same form"
        )
    above.load_state_dict(taken, strict=False)
    return TensorCounts(len(taken), len(wanted) - len(taken), len(tensors.keys() - wanted.keys()), 0)


def file_sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _above(model: PerceptionModel) -> nn.ModuleDict:
    return nn.ModuleDict({"neck": model.neck, "heads": model.heads})


def _part(name: str) -> str:
    """``neck`` or ``heads.TASK``."""
    parts = name.split(".")
    return parts[0] if parts[0] == "neck" else ".".join(parts[:2])


def _read(folder: Path, sha256: str) -> dict[str, Tensor]:
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path}: no such file; a release holds it; fetch it again")
    if file_sha256(path) != sha256:
        raise UserError(f"{path}: is damaged or another file (sha256 differs); fetch it again")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); fetch it again") from error
    return tensors
