"""What a store of releases holds of one of them, for comparing and for notes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avjepa.commands.begun_folder import CONFIGURATION
from avjepa.commands.configurations import read_yaml
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.comparing.released import COSTS, Released, results_in
from avjepa.files import read_json
from avjepa.provenance import FILE_NAME as PROVENANCE

RECORD = "release.json"


@dataclass(frozen=True)
class ReleaseFolder:
    """The folder of a release.

    Attributes:
        path: STORE/releases/NAME.
        record: its ``release.json``.
        data: the options of ``data`` in its configuration.
    """

    path: Path
    record: dict[str, Any]
    data: dict[str, Any]

    @classmethod
    def open(cls, store: Path, name: str) -> "ReleaseFolder":
        """Of a release by its name.

        Raises:
            UserError: there is no such release, or its files are damaged.
        """
        path = store / "releases" / name
        if "/" in name or "\\" in name or name in ("", ".", "..") or not (path / RECORD).is_file():
            found = sorted(one.parent.name for one in (store / "releases").glob(f"*/{RECORD}"))
            raise UserError(
                f"release {name!r:.80}: {store} has none of this name; there are {', '.join(found) or 'none'}"
            )
        record = _object(path / RECORD)
        config = read_yaml(path / CONFIGURATION) if (path / CONFIGURATION).is_file() else None
        if not isinstance(config, dict) or not isinstance(config.get("data"), dict):
            raise UserError(f"{path / CONFIGURATION}: is not the configuration of a release; train the release again")
        return cls(path, record, config["data"])

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks.

        Raises:
            UserError: the record does not say them.
        """
        tasks = self.record.get("tasks")
        if not isinstance(tasks, list) or not tasks or not all(isinstance(task, str) and task for task in tasks):
            raise UserError(f"{self.path / RECORD}: names no tasks; train the release again")
        return tasks

    def provenance(self, split: str) -> dict[str, Any]:
        """What the evaluation of a split was made with.

        Raises:
            UserError: the split was not evaluated, or the file is damaged.
        """
        folder = self.path / "evaluation" / split
        if not folder.is_dir():
            remedy = f"run avjepa evaluate --run {self.path} --split {split}"
            raise UserError(f"{folder}: release {self.path.name} was not evaluated on split {split!r:.80}; {remedy}")
        return _object(folder / PROVENANCE)

    def data_of(self, split: str) -> dict[str, Any]:
        """Fingerprints of the data that a split was evaluated on.

        Raises:
            UserError: as ``provenance``; or it does not say.
        """
        data = self.provenance(split).get("data")
        if not isinstance(data, dict):
            raise UserError(
                f"{self.path / 'evaluation' / split / PROVENANCE}: does not say of which data; evaluate again"
            )
        return data

    def released(self, split: str) -> Released:
        """The results of a split.

        Raises:
            UserError: one of them is missing or damaged.
        """
        taxonomy = load_taxonomy(str(self.data.get("taxonomy", "nuscenes")))
        results = results_in(self.path / "evaluation" / split, self.tasks, taxonomy)
        costs = {name: self.record.get(name) for name in COSTS}
        known = {name: float(value) for name, value in costs.items() if isinstance(value, int | float)}
        return Released(self.path.name, taxonomy, results, known)


def require_same_data(old: ReleaseFolder, new: ReleaseFolder, split: str) -> dict[str, Any]:
    """The fingerprints of the data that both were evaluated on; their taxonomies may differ.

    Raises:
        UserError: the data differ.
    """
    of_old, of_new = old.data_of(split), new.data_of(split)
    for name in ("index", "annotations"):
        if of_old.get(name) != of_new.get(name):
            what = "recordings" if name == "index" else "annotations"
            raise UserError(
                f"releases {old.path.name} and {new.path.name}: were evaluated on other {what} of split {split}; "
                "evaluate both on the same data (avjepa evaluate --data DIR --version V)"
            )
    return of_new


def _object(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); restore it, or make the release again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: is no JSON object; restore it, or make the release again")
    return content
