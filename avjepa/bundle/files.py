"""A module on disk: ``model.safetensors`` beside ``config.json``, from which it is rebuilt strictly.

The names are those of the model hub, to which such a folder can be uploaded as it is. The manifest names classes and
constructor arguments as YAML does; nothing is ever unpickled.
"""

import errno
import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import avjepa
from avjepa.bundle.construction import architecture, build, plain
from avjepa.bundle.manifest import FORMAT_VERSION, MANIFEST, WEIGHTS, Manifest, read_manifest
from avjepa.bundle.rebuildable import Rebuildable
from avjepa.bundle.weights import TensorCounts, load_strictly, require_fitting
from avjepa.errors import UserError, counted
from avjepa.files import replacing, with_final_names
from avjepa.zoo import located

_LARGEST_HEADER, _LARGEST_NUMBER = 2**24, 16  # bytes of a weights file and of a number in it, at most

Module = TypeVar("Module", bound=Rebuildable)


def save_bundle(module: Rebuildable, directory: str | Path, provenance: Mapping[str, Any]) -> Manifest:
    """Write a module as a bundle. The manifest comes last: a directory without it is no bundle.

    Args:
        module: its parameters and persistent buffers are written as they are.
        directory: created if need be; a bundle that is there is replaced.
        provenance: where the weights come from: configuration, seed, step, data fingerprint. Plain values.

    Raises:
        OSError: the weights cannot be written (no space left, say); no half of them stays.
    """
    manifest_path = manifest_path_of(directory)
    # clones, because safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}
    manifest_path.unlink(missing_ok=True)
    sha256 = _save(tensors, weights_path(directory))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        architecture=architecture(module),
        facts=plain(module.bundle_facts()),
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        sha256=sha256,
        avjepa_version=avjepa.__version__,
        provenance=plain(provenance),
    )
    manifest.write(manifest_path)
    return manifest


def save_halved_bundle(source: str | Path, directory: str | Path) -> Manifest:
    """Write a bundle anew with matrices and kernels in float16, in half the space; what is read of it is float32.

    Vectors (biases, norms, running statistics) stay as they are: they are few, and variances may exceed float16.

    Args:
        source: folder of a bundle.
        directory: of the new one, another folder.

    Raises:
        UserError: the bundle is damaged, see ``load_bundle``, or a weight exceeds float16.
    """
    manifest = read_manifest(manifest_path_of(source))
    tensors = _tensors(weights_path(source), manifest)
    halves = {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
    }
    for name, tensor in halves.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{source}: tensor {name} exceeds float16; keep the bundle as it is")
    halved = replace(manifest, sha256=_save(halves, weights_path(directory)))
    halved.write(manifest_path_of(directory))
    return halved


def _save(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Write tensors, whole or not at all; the sha256 of the file."""
    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary)
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise _as_os_error(error, path) from error
        return _file_sha256(temporary)


def load_bundle(kind: type[Module], directory: str | Path) -> Module:
    """Rebuild the module of a bundle with its weights, on the CPU, in evaluation mode.

    Args:
        kind: what it has to be, e.g. ``BEVBackbone``.
        directory: holds the weights and the manifest; or ``zoo:NAME``.

    Raises:
        UserError: a file is missing or damaged, the weights are not those of the manifest, a tensor is missing,
            unexpected or misshapen, or a class is none of ``kind``.
    """
    path = manifest_path_of(directory)
    manifest = read_manifest(path)
    module = build(kind, manifest.architecture, str(path))
    load_bundled_weights(module, directory)
    return module.eval()


def load_bundled_weights(module: Rebuildable, directory: str | Path) -> TensorCounts:
    """Copy the weights of a bundle into a module that is there, every tensor or none; says on stderr what matched.

    Raises:
        UserError: see ``fitting_weights``.
    """
    counts = load_strictly(module, fitting_weights(module, directory), str(directory))
    print(f"{with_final_names(directory)}: {counts}", file=sys.stderr)
    return counts


def fitting_weights(module: Rebuildable, directory: str | Path) -> dict[str, Tensor]:
    """The weights of a bundle, which fit a module that is there.

    Raises:
        UserError: see ``load_bundle``; or the facts of the manifest, a backbone's grid say, are not the module's.
    """
    manifest = read_manifest(manifest_path_of(directory))
    for name, ours in plain(module.bundle_facts()).items():
        theirs = manifest.facts.get(name, ours)
        if theirs != ours:
            raise UserError(
                f"{directory}: the bundle's {name} is {theirs}, not {ours}; configure it alike or pre-train on this one"
            )
    path = weights_path(directory)
    tensors = _tensors(path, manifest)
    require_fitting(module, tensors, str(directory))
    numbers = sum(tensor.numel() for tensor in tensors.values())
    if (len(tensors), numbers) != (manifest.tensors, manifest.parameters):
        raise UserError(
            f"{path}: holds {counted(numbers, 'number')} in {counted(len(tensors), 'tensor')}, {MANIFEST} says "
            f"{manifest.parameters} in {manifest.tensors}; export the bundle again"
        )
    return tensors


def manifest_path_of(directory: str | Path) -> Path:
    """Where the manifest of a bundle lies, also of one of the zoo.

    Raises:
        UserError: the zoo has none of that name.
    """
    return located(directory) / MANIFEST


def is_bundle(directory: str | Path) -> bool:
    """Whether both files of a bundle are there, whatever they hold. Raises as ``manifest_path_of``."""
    return manifest_path_of(directory).is_file() and weights_path(directory).is_file()


def weights_path(directory: str | Path) -> Path:
    """Where the weights of a bundle lie. Raises as ``manifest_path_of``."""
    return located(directory) / WEIGHTS


def _tensors(path: Path, manifest: Manifest) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; a bundle holds {MANIFEST} and {WEIGHTS}")
    too_large = path.stat().st_size > _LARGEST_HEADER + _LARGEST_NUMBER * manifest.parameters
    if too_large or _file_sha256(path) != manifest.sha256:
        raise UserError(
            f"{path}: is damaged or not the file that {MANIFEST} describes (sha256 differs); copy both again"
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); copy it again") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{path}: tensor {name} holds NaN or infinite numbers; export the bundle again")
    return tensors


def _as_os_error(error: SafetensorError, path: Path) -> OSError:
    stated = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(stated[1]) if stated else errno.EIO, str(error), str(path))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
