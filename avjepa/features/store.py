"""BEV maps of one frozen backbone in a folder: half precision, memory-mapped, checked, computed once."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.bundle.construction import architecture
from avjepa.bundle.weights import state_hash
from avjepa.data.arrays import Array
from avjepa.data.empty_sensor import with_one_of
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
from avjepa.features.keyframes import MapName, map_name
from avjepa.files import replacing, write_json
from avjepa.geometry.grid import BEVGrid

MANIFEST = "features.json"
FORMAT_VERSION = 2
SHARD_BYTES = 64 * 2**20
"""A killed process loses at most as much as one shard holds."""

_checked: set[Path] = set()
"""Shards whose checksum this process has seen to be right."""


@dataclass(frozen=True)
class FeatureKey:
    """What a map depends on, beside the moment and the frame it is seen in.

    Attributes:
        backbone: hash of its weights and its architecture.
        data: fingerprint of the dataset's tables.
        inputs: which sensors are loaded, and how.
    """

    backbone: str
    data: str
    inputs: str

    @classmethod
    def of(cls, backbone: BEVBackbone, data: DetectionDataModule) -> "FeatureKey":
        """The key of a backbone's maps of a datamodule's samples; the datamodule is set up."""
        assert data.source is not None, "setup() comes first"
        plan = json.dumps(architecture(backbone), sort_keys=True)
        network = hashlib.sha256(f"{plan} {state_hash(backbone)}".encode()).hexdigest()
        return cls(network, data.source.fingerprint(), f"{data.inputs} {data.channels}")

    @property
    def digest(self) -> str:
        """All of it in 64 characters."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class FeatureStore:
    """Maps by moment and frame. Channels are last on disk: convolutions in half precision run twice as fast on them.

    ``features.json`` says whose maps these are; ``ID.f16`` is a shard of them and ``ID.json``, written after it, names
    them, says of which no sensor had data, and holds its checksum. Several processes may add to a folder: a map that
    two compute is there twice.

    Args:
        folder: of a store that is there, see ``create``.
        digest: of the key that is expected.

    Raises:
        UserError: there is no such store, it is of another backbone or other data, or a shard is damaged.
    """

    def __init__(self, folder: str | Path, digest: str) -> None:
        self.folder = Path(folder)
        path = self.folder / MANIFEST
        manifest = _read(path)
        try:
            ours = manifest["format_version"] == FORMAT_VERSION
            self.digest = str(manifest["digest"])
            self.token_grid = BEVGrid(**manifest["token_grid"])
            self.out_channels = int(manifest["out_channels"])
            self.sensors = tuple(str(name) for name in manifest["sensors"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: does not describe features ({error}); delete the folder") from error
        if not ours or self.digest != digest:
            raise UserError(
                f"{self.folder}: holds features of another backbone, other data or other inputs; "
                "choose another folder, or delete this one"
            )
        self.shape = (*self.token_grid.shape, self.out_channels)
        self._maps: dict[MapName, Array] = {}
        self._without_data: set[str] = set()
        self._shards: set[str] = set()
        self.refresh()

    @classmethod
    def create(
        cls, folder: str | Path, key: FeatureKey, backbone: BEVBackbone, sensors: Sequence[str]
    ) -> "FeatureStore":
        """The store of a backbone's maps: the one that is in the folder, or a new one.

        Args:
            folder: for it.
            key: of the maps.
            backbone: whose they are.
            sensors: what the backbone is shown.

        Raises:
            UserError: as for the constructor.
        """
        path = Path(folder) / MANIFEST
        if not path.is_file():
            content = {
                "format_version": FORMAT_VERSION, "digest": key.digest, "key": asdict(key),
                "token_grid": asdict(backbone.token_grid), "out_channels": backbone.out_channels,
                "sensors": list(sensors),
            }  # fmt: skip
            write_json(path, content)
        return cls(folder, key.digest)

    def __len__(self) -> int:
        return len(self._maps)

    def __contains__(self, name: MapName) -> bool:
        return name in self._maps

    def refresh(self) -> None:
        """Take in what other processes have added."""
        for path in sorted(self.folder.glob("[!.]*.json")):
            if path.name != MANIFEST and path.stem not in self._shards:
                self._take_in(path)

    def _take_in(self, path: Path) -> None:
        listed, file = _read(path), path.with_suffix(".f16")
        try:
            names = [(str(token), bytes.fromhex(frame)) for token, frame in listed["maps"]]
            without = {str(token) for token in listed["without_data"]}
            if file not in _checked and _sha256(file) != listed["sha256"]:
                raise ValueError("sha256 differs")
            maps = np.memmap(file, np.float16, "r", shape=(len(names), *self.shape))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file}: is damaged ({error}); delete the folder, its maps are computed again") from error
        _checked.add(file)
        self._shards.add(path.stem)
        self._maps.update(zip(names, maps, strict=True))
        self._without_data |= without

    @torch.no_grad()
    def fill(
        self,
        backbone: BEVBackbone,
        batches: Iterable[Batch],
        done: Callable[[int], object] = lambda maps: None,
    ) -> None:
        """Compute the maps of some batches, shard by shard.

        Args:
            backbone: in evaluation mode, on the device that it shall run on.
            batches: samples without maps, see ``keyframe_loader``.
            done: told the number of further maps, after every batch.

        Raises:
            UserError: a feature is too large for half precision.
        """
        device = next(backbone.parameters()).device
        names: list[MapName] = []
        without: list[str] = []
        maps: list[Tensor] = []
        for batch in batches:
            read = with_one_of(batch, backbone.sensors_read()).to(device)
            features = backbone(read).features.permute(0, 2, 3, 1).to("cpu", torch.float16)
            if not torch.isfinite(features).all():
                raise UserError("frozen features exceed the range of half precision; normalise the backbone's output")
            names += [map_name(*sample) for sample in zip(batch.tokens, batch.bev_from_level, strict=True)]
            without += [token for token, has in zip(batch.tokens, batch.has_data(), strict=True) if not has]
            maps.append(features.contiguous())
            if 2 * len(names) * int(np.prod(self.shape)) >= SHARD_BYTES:
                self._write(names, maps, without)
                names, maps, without = [], [], []
            done(len(batch))
        if names:
            self._write(names, maps, without)

    def _write(self, names: list[MapName], maps: list[Tensor], without: list[str]) -> None:
        path = self.folder / f"{uuid.uuid4().hex}.f16"
        with replacing(path) as temporary:
            torch.cat(maps).numpy().tofile(temporary)
            digest = _sha256(temporary)
        listed = path.with_suffix(".json")
        content = {
            "sha256": digest,
            "maps": [[token, frame.hex()] for token, frame in names],
            "without_data": without,
        }
        write_json(listed, content, indent=None)
        _checked.add(path)
        self._take_in(listed)

    def without_data(self, batch: Batch) -> list[str]:
        """Tokens of the batch's samples of which no sensor had data when their maps were computed."""
        return [token for token in batch.tokens if token in self._without_data]

    def maps(self, batch: Batch) -> Float[Tensor, "batch channel y x"]:
        """The maps of a batch's samples, in the frames they are seen in, in single precision, on the CPU.

        Raises:
            UserError: there is none of a sample.
        """
        found = []
        for token, frame in zip(batch.tokens, batch.bev_from_level, strict=True):
            name = map_name(token, frame)
            if name not in self._maps:
                raise UserError(f"{self.folder}: holds no map of sample {token} in this frame; compute it first")
            found.append(self._maps[name])
        return torch.from_numpy(np.stack(found).astype(np.float32)).permute(0, 3, 1, 2)


def require_space(folder: Path, maps: int, shape: Sequence[int]) -> int:
    """Raise unless the disk has room for so many further maps.

    Args:
        folder: of the store; need not be there.
        maps: how many.
        shape: of a map.

    Returns:
        The bytes that they take.

    Raises:
        UserError: it has not.
    """
    place = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    wanted, free = 2 * maps * int(np.prod(shape)), shutil.disk_usage(place).free
    if wanted > free:
        raise UserError(
            f"{folder}: {maps:,} maps of {' x '.join(map(str, shape))} take {wanted / 2**30:,.1f} GiB, and the disk "
            f"has {free / 2**30:,.1f} free; choose another folder, fewer scenes or fewer draws of the augmentation"
        )
    return wanted


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; this is no folder of features") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete the folder, its maps are computed again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: does not describe features; delete the folder, its maps are computed again")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
