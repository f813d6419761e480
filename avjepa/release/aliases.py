"""Which release is the champion and which the candidate: the one file of a store that changes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from avjepa.errors import UserError
from avjepa.files import read_json, write_json
from avjepa.release.store import FORMAT_VERSION, Store

ALIASES = ("candidate", "champion")
FILE = "aliases.json"


def aliases_of(store: Store) -> dict[str, str]:
    """The release that each alias stands for, as far as there is one."""
    return dict(_content(store)["aliases"])


def history_of(store: Store) -> list[dict[str, Any]]:
    """Every change of an alias, oldest first: ``alias``, ``before``, ``after``, ``when``, ``why``."""
    return list(_content(store)["history"])


def point(store: Store, alias: str, release: str, why: str) -> str | None:
    """Let an alias stand for a release; returns what it stood for.

    Raises:
        UserError: another process writes the store, or the file is damaged.
    """
    with store.held():
        return _pointed(store, alias, release, why)


def roll_back(store: Store, alias: str, why: str) -> tuple[str, str]:
    """Let an alias stand for what it stood for before the last change; returns what it stood for, and now does.

    Rolled back twice, it goes back two changes.

    Raises:
        UserError: it never stood for anything else.
    """
    with store.held():
        content = _content(store)
        stack: list[str] = []
        for change in content["history"]:
            if change["alias"] == alias:
                if change.get("rolled_back"):
                    stack.pop()
                else:
                    stack.append(change["after"])
        if len(stack) < 2:
            raise UserError(f"roll-back: {alias} has stood for nothing before {stack[0] if stack else 'anything'}")
        _pointed(store, alias, stack[-2], why, rolled_back=True)
        return stack[-1], stack[-2]


def _pointed(store: Store, alias: str, release: str, why: str, rolled_back: bool = False) -> str | None:
    content = _content(store)
    before: str | None = content["aliases"].get(alias)
    content["aliases"][alias] = release
    content["history"].append(
        {
            "alias": alias, "before": before, "after": release, "why": why,
            "when": datetime.now(UTC).isoformat(timespec="seconds"), **({"rolled_back": True} if rolled_back else {}),
        }
    )  # fmt: skip
    write_json(store.folder / FILE, content)
    return before


def _content(store: Store) -> dict[str, Any]:
    path = store.folder / FILE
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {"format_version": FORMAT_VERSION, "aliases": {}, "history": []}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); put an older copy in its place") from error
    if not _is_whole(content):
        raise UserError(f"{path}: does not say what aliases stand for; put an older copy in its place")
    return dict(content)


def _is_whole(content: Any) -> bool:
    """Whether a file says what this module wrote."""
    if not isinstance(content, Mapping) or content.get("format_version") != FORMAT_VERSION:
        return False
    aliases, history = content.get("aliases"), content.get("history")
    return (
        isinstance(aliases, dict)
        and all(isinstance(value, str) for value in aliases.values())
        and isinstance(history, list)
        and all(
            isinstance(change, dict) and isinstance(change.get("alias"), str) and isinstance(change.get("after"), str)
            for change in history
        )
    )
