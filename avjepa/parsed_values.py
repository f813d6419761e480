"""Plain values through a parser of arguments, which leaves them as they are."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from jsonargparse import ArgumentParser, Namespace


def parsed(parser: ArgumentParser, values: Mapping[str, Any]) -> Namespace:
    """``parser.parse_object`` of a copy: it writes what it has parsed into the dictionaries that lie deep within.

    Raises:
        jsonargparse.ArgumentError: the parser does not take these values.
    """
    read: Namespace = parser.parse_object(deepcopy(dict(values)))
    return read
