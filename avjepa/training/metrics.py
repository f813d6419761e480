"""Metrics in one CSV file a run, which survives the run being killed and resumed."""

import csv
import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from avjepa.errors import UserError
from avjepa.files import naming, read_csv, replacing

FILE_NAME = "metrics.csv"


class MetricsFile(Logger):
    """Writes ``metrics.csv``: a ``step`` column, then one column per metric; an empty field where it was not measured.

    ``step`` is the number of optimiser steps taken before the measurement. When a run logs for the first time, rows
    of its first step and later ones, which an earlier, interrupted run left behind, are dropped: so the file always
    tells one story. Each row is on disk before the next step.

    Args:
        directory: folder of ``metrics.csv``.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.path = Path(directory) / FILE_NAME
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Name among other loggers."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one per folder."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The configuration is written by the command, not here."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row; metrics that are NaN are left empty."""
        if step is None:
            raise ValueError("metrics are logged with their step")
        row = {name: value for name, value in metrics.items() if name != "epoch" and not math.isnan(value)}
        if not row:
            return
        if self._columns is None:
            kept = [old for old in read_rows(self.path) if old["step"] < step] if self.path.is_file() else []
            self._rewrite(kept)
        assert self._columns is not None
        if not row.keys() <= set(self._columns):
            self._rewrite(read_rows(self.path), [name for name in row if name not in self._columns])
        with naming(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="").writerow({"step": step, **row})

    def _rewrite(self, rows: list[dict[str, float]], new_columns: list[str] | None = None) -> None:
        if self._columns is None:
            self._columns = ["step"]
            new_columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "step"]
        self._columns += new_columns or []
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows({**row, "step": int(row["step"])} for row in rows)


def read_rows(path: str | Path) -> list[dict[str, float]]:
    """Rows of a ``metrics.csv``, each with its ``step`` and the metrics that were measured.

    Raises:
        UserError: the file cannot be read as metrics.
    """
    try:
        return [
            {name: float(value) for name, value in row.items() if value} for row in read_csv(path)[1] if row.get("step")
        ]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as metrics ({error}); delete it or restore it") from error


def read_curves(path: str | Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every metric in a ``metrics.csv``."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for row in read_rows(path):
        for name, value in row.items():
            if name != "step":
                steps, values = curves.setdefault(name, ([], []))
                steps.append(int(row["step"]))
                values.append(value)
    return curves
