"""YAML from anywhere: no anchors that grow beyond any memory, nothing that holds itself or is endlessly deep, no text
that cannot be written in UTF-8, no key that is said twice."""

from collections.abc import Iterator

import yaml

LARGEST = 100_000
"""Values that a document may hold, its anchors written out; the largest configuration of this package has hundreds."""


class UnboundedYaml(yaml.YAMLError):
    """A document that would not fit into the memory, or has no end."""


def require_bounded(text: str) -> None:
    """Raise unless a document is small with its anchors written out.

    An anchor that is used ten times within one that is used ten times, and so on, makes a file of 300 characters a
    thousand million values ("billion laughs").

    Raises:
        yaml.YAMLError: it is larger, holds itself, is nested too deep, holds half a surrogate pair, which no file
            name and no output can, or says a key twice, of which YAML would take the last; or it is no YAML.
    """
    try:
        for root in yaml.compose_all(text, yaml.SafeLoader):
            if root is not None and _size(root, {}, set()) > LARGEST:
                raise UnboundedYaml(f"more than {LARGEST} values with its anchors (&, *) written out")
    except RecursionError:
        raise UnboundedYaml("nested too deep") from None


def _size(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Values of a node with its anchors written out; ``open_nodes`` are those that hold it."""
    if isinstance(node, yaml.ScalarNode) and any("\ud800" <= character <= "\udfff" for character in node.value):
        raise yaml.YAMLError(f"{node.value[:30]!a} holds half a surrogate pair, which is no text")
    if isinstance(node, yaml.MappingNode):
        _require_distinct(node)
    key = id(node)
    if key in open_nodes:
        raise UnboundedYaml("an anchor holds itself")
    if key not in known:
        open_nodes.add(key)
        known[key] = 1 + sum(_size(child, known, open_nodes) for child in _children(node))
        open_nodes.remove(key)
    return known[key]


def _require_distinct(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"{key.value[:80]!r} is said twice, again in line {line}; leave one of them out")
            seen.add((key.tag, key.value))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield name
            yield value
