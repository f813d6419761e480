"""The note of a release: what somebody reads who has to decide on it, or to find out later what it was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.commands.begun_folder import CONFIGURATION
from avjepa.commands.released_results import RECORD, ReleaseFolder
from avjepa.errors import UserError
from avjepa.evaluate.comparing import tables
from avjepa.evaluate.comparing.pages import notes, verdict
from avjepa.files import read_json
from avjepa.provenance import FILE_NAME as PROVENANCE

_SCORES = ("figure", "old", "new", "change", "verdict")


def note_of(record: Mapping[str, Any], why: str, old: ReleaseFolder, new: ReleaseFolder) -> str:
    """The note in Markdown.

    Args:
        record: of the comparison of the two.
        why: what the release is for.
        old: the release before.
        new: the release.

    Raises:
        UserError: a file of a release is damaged, or the record lacks something.
    """
    try:
        lines = [f"# Release {record['new']}", "", why, "", f"Gate: **{verdict(record)}**", "", *notes(record)]
        for task, figures in record["figures"].items():
            rows = tables.figure_rows(figures)
            columns = [tables.FIGURES.index(name) for name in _SCORES]
            title = f"## {task}: {record['old']} and {record['new']}"
            lines += ["", title, "", *tables.markdown(_SCORES, [tuple(row[i] for i in columns) for row in rows])]
        if record["costs"]:
            lines += ["", "## Cost", "", *tables.markdown(tables.COSTS, tables.cost_rows(record["costs"]))]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise UserError(
            f"the comparison of {new.path.name}: lacks {error}; run avjepa release compare again"
        ) from error
    lines += ["", "## What it was made with", ""]
    header = ("", record["old"], record["new"])
    lines += tables.markdown(header, _made_with(old, new))
    return "\n".join(lines) + "\n"


def _made_with(old: ReleaseFolder, new: ReleaseFolder) -> list[tuple[str, ...]]:
    sides: Sequence[dict[str, str]] = [_facts(folder) for folder in (old, new)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    return [(name, sides[0].get(name, "–"), sides[1].get(name, "–")) for name in names]


def _facts(folder: ReleaseFolder) -> dict[str, str]:
    """Backbone, weights, configuration, log, data and cost of a release, as far as it says."""
    record = folder.record
    facts = {}
    if isinstance(backbone := record.get("backbone"), Mapping):
        facts["backbone"] = " ".join(str(backbone.get(key, "")) for key in ("name", "version")).strip()
        facts["backbone's weights (sha256)"] = str(backbone.get("sha256", "–"))[:16]
    facts["tasks"] = ", ".join(folder.tasks)
    made = _provenance(folder.path / PROVENANCE)
    facts["code"] = " ".join(str(made[key]) for key in ("avjepa", "commit") if made.get(key)) or "–"
    names = {"configuration": CONFIGURATION, "log": "metrics.csv", "record": RECORD}
    facts |= {name: f"{folder.path.name}/{file}" for name, file in names.items()}
    if isinstance(data := made.get("data"), Mapping):
        facts |= {f"data: {name}": str(value)[:16] for name, value in data.items()}
    if made.get("steps") is not None:
        facts["steps"] = f"{made['steps']}"
    seconds = record.get("seconds")
    if isinstance(seconds, Mapping):
        facts |= {f"seconds: {name}": f"{value:,.0f}" for name, value in seconds.items() if _is_number(value)}
    elif _is_number(made.get("wall_seconds")):
        facts["seconds"] = f"{made['wall_seconds']:,.0f}"
    return facts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _provenance(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); restore it, or train the release again") from error
    return content if isinstance(content, dict) else {}
