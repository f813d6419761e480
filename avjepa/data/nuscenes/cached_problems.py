"""Problems of tables as a cache keeps them, so that whoever opens it is told what whoever made it was told."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import msgspec

from avjepa.data.cache import Cached
from avjepa.data.nuscenes.tables import TableProblem


def remarks_of(problems: Sequence[TableProblem]) -> list[list[Any]]:
    """What to keep in ``Cached.remarks``."""
    return [list(astuple(problem)) for problem in problems]


def problems_of(contents: Cached) -> list[TableProblem]:
    """The problems of the tables that something was made from, in the order in which they were found.

    Raises:
        ValueError: the remarks are no problems.
    """
    try:
        remarks = msgspec.convert(contents.remarks, list[tuple[str, str, str, bool]])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    return [TableProblem(*remark) for remark in remarks]
