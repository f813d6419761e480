"""Columns of feather files, checked."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from avjepa.data.arrays import Array
from avjepa.data.files.pointfiles import LARGEST_FILE
from avjepa.data.files.regular import content_of_file
from avjepa.errors import BadFileError, UserError

_LARGEST_VALUE = 1e9
"""No place and no size in metres is larger; sums and squares of larger values overflow."""


def arrow() -> ModuleType:
    """The library that reads feather files.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pyarrow.ipc
    except ImportError:
        raise UserError("Argoverse 2: its files are read by pyarrow; pip install 'avjepa[av2]'") from None
    module: ModuleType = pyarrow
    return module


def read_columns(path: Path, columns: Mapping[str, type]) -> dict[str, Array]:
    """Some columns of a feather file.

    Args:
        path: the file.
        columns: the type of each: ``float`` (read in double precision), ``int`` or ``str``.

    Raises:
        BadFileError: the file is missing or no feather file, or lacks a column, or one holds something else.
        UserError: there is nothing to read it with.
    """
    pyarrow = arrow()
    content = content_of_file(path, LARGEST_FILE)
    try:
        options = pyarrow.ipc.IpcReadOptions(use_threads=False)  # what loads data has processes of its own
        table = pyarrow.ipc.open_file(pyarrow.py_buffer(content), options=options).read_all()
        table.validate(full=True)
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise BadFileError(path, f"this is no feather file, or a damaged one ({error})") from None
    if missing := [name for name in columns if name not in table.column_names]:
        raise BadFileError(path, f"has no column {missing[0]}; its columns are {', '.join(table.column_names)}")
    return {name: _column(path, name, table.column(name), kind) for name, kind in columns.items()}


def read_table(path: Path, columns: Mapping[str, type]) -> dict[str, Array]:
    """``read_columns`` of what no sample can do without.

    Raises:
        UserError: see ``read_columns``.
    """
    try:
        return read_columns(path, columns)
    except BadFileError as error:
        raise UserError(f"{path}: {error.problem}; restore the file") from None


def _column(path: Path, name: str, column: Any, kind: type) -> Array:
    if column.null_count:
        raise BadFileError(path, f"column {name}: {column.null_count} of {len(column)} values are missing")
    if kind is str:
        values = _texts(column) if _holds_text(column) else None
    else:
        read = column.to_numpy()
        wanted = np.integer if kind is int else np.number
        values = read if np.issubdtype(read.dtype, wanted) else None
    if values is None:
        raise BadFileError(path, f"column {name}: expected {_MEANING[kind]}, found {column.type}")
    if kind is float:
        values = values.astype(np.float64)
        if not (np.abs(values) < _LARGEST_VALUE).all():
            raise BadFileError(path, f"column {name}: holds NaN, infinite or absurdly large values")
    result: Array = values.astype(np.int64) if kind is int else values
    return result


def _holds_text(column: Any) -> bool:
    types = arrow().types
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _texts(column: Any) -> Array:
    """Many rows have the same few texts, each of which becomes one of Python's once."""
    coded = column.combine_chunks()
    coded = coded if arrow().types.is_dictionary(coded.type) else coded.dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), dtype=np.str_)
    texts: Array = names[coded.indices.to_numpy()] if len(coded) else np.zeros(0, np.str_)
    return texts


_MEANING = {float: "numbers", int: "whole numbers", str: "texts"}
