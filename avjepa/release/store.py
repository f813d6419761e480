"""The folder of a store: what lies where, and how something new comes into it whole."""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.files import hidden_folder, read_json
from avjepa.locking import locked
from avjepa.release.versions import Version
from avjepa.zoo import PREFIX, located

RECORD = "release.json"
FORMAT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Store:
    """Backbones and releases below one folder.

    Args:
        folder: need not be there yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def backbones(self) -> dict[str, list[Version]]:
        """Versions of every backbone by its name, oldest first."""
        found = {}
        for place in _folders(self.folder / "backbones"):
            versions = sorted(_versions(place))
            if versions:
                found[place.name] = versions
        return found

    def releases(self) -> list[str]:
        """Names of the releases, oldest first."""
        places = [place for place in _folders(self.folder / "releases") if (place / RECORD).is_file()]
        return [
            place.name for place in sorted(places, key=lambda place: ((place / RECORD).stat().st_mtime, place.name))
        ]

    def backbone_folder(self, name: str, version: Version) -> Path:
        """Where a version of a backbone lies, or will lie."""
        return self.folder / "backbones" / name / str(version)

    def release_folder(self, name: str) -> Path:
        """Where a release lies, or will lie."""
        return self.folder / "releases" / name

    def backbone(self, wanted: str) -> Path:
        """The folder of ``NAME`` (its newest version), of ``NAME@X.Y.Z``, or of ``zoo:NAME``, copied into the store.

        Raises:
            UserError: there is none; or the store has another one under the name and version of the zoo's.
        """
        if wanted.startswith(PREFIX):
            return self._adopted(wanted)
        name, at, version = wanted.partition("@")
        known = self.backbones().get(name, [])
        chosen = (Version.parse(version) if at else known[-1]) if known else None
        if chosen is None or chosen not in known:
            there = ", ".join(f"{name}@{versions[-1]}" for name, versions in self.backbones().items()) or "none"
            raise UserError(f"--backbone {wanted}: {self.folder} holds no such backbone; there is {there}")
        return self.backbone_folder(name, chosen)

    def _adopted(self, wanted: str) -> Path:
        """The folder of a backbone of the zoo in this store, which then needs no zoo."""
        source = located(wanted)
        record = read_record(source, name=str, version=str, sha256=str)
        final = self.backbone_folder(record["name"], Version.parse(record["version"]))
        with locked(lock_folder(final), patience=30.0):
            if not final.exists():
                hidden = hidden_folder(final)
                shutil.rmtree(hidden, ignore_errors=True)
                shutil.copytree(source, hidden, ignore=shutil.ignore_patterns("__pycache__"))
                self.name(hidden, final)
        if read_record(final, sha256=str)["sha256"] != record["sha256"]:
            raise UserError(f"--backbone {wanted}: {final} is another backbone of that version; use another --store")
        return final

    def release(self, name: str, option: str = "--release") -> Path:
        """The folder of a release that is there.

        Raises:
            UserError: there is none.
        """
        if name not in (known := self.releases()):
            raise UserError(
                f"{option} {name}: {self.folder} holds no such release; there is {', '.join(known) or 'none'}"
            )
        return self.release_folder(name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other writers of names out within the block: they last for moments, so they are waited for.

        Raises:
            UserError: another one does not end.
        """
        with locked(self.folder, patience=30.0):
            yield

    @contextlib.contextmanager
    def new(self, final: Path) -> Iterator[Path]:
        """Yield an empty hidden folder beside ``final``, which becomes it at the end, for good.

        Its files can then be read only. Killed at any point it leaves the hidden folder, which the next call removes.

        Raises:
            UserError: ``final`` is there.
        """
        hidden = hidden_folder(final)
        with locked(lock_folder(final)):
            require_free(final)
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir(parents=True)
            try:
                yield hidden
                self.name(hidden, final)
            except BaseException:
                shutil.rmtree(hidden, ignore_errors=True)
                raise

    def name(self, hidden: Path, final: Path) -> None:
        """Give a folder that is whole its name.

        Raises:
            UserError: the name is taken.
        """
        with self.held():
            require_free(final)
            for path in hidden.rglob("*"):
                if path.is_file() and "evaluation" not in path.relative_to(hidden).parts:
                    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
            os.rename(hidden, final)


def lock_folder(final: Path) -> Path:
    """What is locked while something is made: it is not the folder that is made, which changes its name."""
    return final.parent / f".{final.name}.lock"


def require_free(final: Path) -> None:
    """Raise unless nothing has this name.

    Raises:
        UserError: it is taken.
    """
    if final.exists():
        raise UserError(f"{final}: is there already, and what is released is not changed; choose another name")


def require_name(option: str, name: str) -> None:
    """Raise unless a name can be that of a folder, anywhere.

    Raises:
        UserError: naming the option.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UserError(
            f"{option} {name!r}: must be of letters, digits, dots, dashes and underscores, 64 at most, and begin "
            "with a letter or a digit"
        )


def read_record(folder: Path, **kinds: type) -> dict[str, Any]:
    """What ``release.json`` in a folder says.

    Args:
        folder: of a backbone or a release.
        **kinds: the entries that it must have, and of what type.

    Raises:
        UserError: it is missing, damaged, or of a newer version.
    """
    path = folder / RECORD
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give a folder that avjepa release wrote") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
        raise UserError(f"{path}: does not describe a release; fetch it again")
    if content["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{path}: of format version {content['format_version']}, this avjepa reads up to {FORMAT_VERSION}; update "
            "avjepa"
        )
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise UserError(f"{path}: {name} must be a {kind.__name__}; fetch it again")
    return content


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("[!.]*") if path.is_dir())


def _versions(place: Path) -> Iterator[Version]:
    for path in _folders(place):
        with contextlib.suppress(UserError):
            version = Version.parse(path.name)
            if (path / RECORD).is_file():
                yield version
