"""Resuming a training with other options than it began with.

Every option that is given is used, or the training does not start. An option that steps to come can follow whatever
steps before them did is used from the checkpoint on, and one line says so: how long and how fast the training goes on,
where it runs, what it writes and where. What the steps already taken depend on - data, seed, batch size, network,
objective - has to be as it was: with another value the run would be neither the old one nor the new one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avjepa.errors import UserError, counted
from avjepa.training.checkpoint_contents import require_training
from avjepa.training.console import status
from avjepa.training.provenance import PROVENANCE

FREE = (
    "checkpoint_every", "validate_every", "score_validation", "evaluate", "export", "trainer",
    "model.learning_rate", "model.backbone_learning_rate_factor", "model.weight_decay", "model.warmup_fraction",
    "model.schedule", "model.cooldown_fraction", "model.final_factor", "model.decay_fraction",
    "model.constant_factor",
    "data.dataroot", "data.workers", "data.steps", "data.on_bad_file", "data.eval_split", "data.validation_split",
)  # fmt: skip
"""Options that may change: the named ones and those below them."""
FIXED = ("trainer.accumulate_grad_batches", "trainer.limit_train_batches", "trainer.overfit_batches")
"""Exceptions from them."""
NEVER_SAID = ("out", "ckpt_path")
"""Options of the call, not of the training."""


def require_resumable(
    content: Mapping[str, Any], path: str | Path, provenance: Mapping[str, Any], steps: int, processes: int
) -> None:
    """Raise unless a training can go on from a checkpoint with these options; say which of them are new.

    Args:
        content: of the checkpoint.
        path: of its file.
        provenance: ``avjepa.provenance.provenance`` of the training that is to go on.
        steps: its length.
        processes: that share it; with other ones a batch of all processes has another size, which is said.

    Raises:
        UserError: the checkpoint does not say what it was made with, is of another command or of other data, an option
            differs that may not, or it has more steps than the training shall have.
    """
    require_training(content, path)
    before, done = content.get(PROVENANCE), content.get("global_step")
    parts = {"command": str, "configuration": dict, "data": dict}
    if not isinstance(before, dict) or not all(isinstance(before.get(name), kind) for name, kind in parts.items()):
        raise UserError(f"checkpoint {path}: does not say how it was trained; resume one of avjepa")
    if before["command"] != provenance["command"]:
        raise UserError(
            f"checkpoint {path}: is of avjepa {before['command']}; avjepa {provenance['command']} cannot resume it"
        )
    changes = changed_options(before["configuration"], provenance["configuration"])
    if fixed := {name: change for name, change in changes.items() if not may_change(name)}:
        raise UserError(
            f"checkpoint {path}: was trained with other options, on which its steps depend: {described(fixed)}; "
            "resume with those that it had, or start a new run"
        )
    if before["data"] != provenance["data"]:
        raise UserError(
            f"checkpoint {path}: was trained on other data: the tables below data.dataroot, or what the taxonomy says, "
            "have changed; restore them, or start a new run"
        )
    if isinstance(done, int) and done > steps:
        raise UserError(
            f"checkpoint {path}: has been trained for {counted(done, 'step')} already, more than --steps {steps}; ask "
            "for more steps than it has, or start a new run in another folder"
        )
    if before.get("processes") != processes:
        changes["processes"] = (before.get("processes"), processes)
    if changes:
        status(f"goes on from step {done} with {described(changes)}")


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a training that differ, with the earlier and the present value, by dotted name."""
    old, new = dict(leaves(before)), dict(leaves(now))
    names = [name for name in {**old, **new} if name not in NEVER_SAID]
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def leaves(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested options. A list is a value."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def may_change(name: str) -> bool:
    """Whether a resumed training may be given another value of the option."""

    def within(names: tuple[str, ...]) -> bool:
        return any(name == other or name.startswith(f"{other}.") for other in names)

    return within(FREE) and not within(FIXED)


def described(changes: Mapping[str, tuple[Any, Any]], shown: int = 4) -> str:
    """The changes in one line."""
    texts = [f"{name} {_short(now)} (was {_short(before)})" for name, (before, now) in changes.items()]
    return ", ".join(texts[:shown]) + (f" and {len(texts) - shown} more" if len(texts) > shown else "")


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
