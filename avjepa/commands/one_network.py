"""What a study compares is one network, whatever it was trained on."""

from collections.abc import Iterator, Mapping
from typing import Any

from avjepa.errors import UserError

_NOT_THE_NETWORK = ("weights", "source", "hiding")
"""Arguments of an encoder that say where its first weights come from, or what is hidden from it in pre-training."""


def require_one_network(architectures: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise where backbones are not alike.

    Args:
        architectures: ``class_path`` and ``init_args`` of every backbone, by where it comes from.

    Raises:
        UserError: naming two of them and the first argument in which they differ.
    """
    (first, reference), *others = architectures.items() or [("", {})]
    for name, architecture in others:
        if different := next(_differences(reference, architecture), None):
            where, there, here = different
            raise UserError(
                f"{name}: its backbone is not the network of {first}: {where} is {here!s:.40}, not {there!s:.40}; "
                "scores of two networks do not compare, so give one to all (finetune_overrides: model.backbone, say)"
            )


def _differences(one: Any, other: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys((*one, *other)):
            if key not in _NOT_THE_NETWORK:
                yield from _differences(one.get(key), other.get(key), f"{where}.{key}".lstrip("."))
    elif one != other:
        yield where, one, other
