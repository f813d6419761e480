"""What scores over several seeds say: their spread, and whether a difference is more than that."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

SIGNIFICANCE = 0.05
"""A difference is called one where its p-value is below this."""


@dataclass(frozen=True)
class Spread:
    """Several seeds' scores in two numbers."""

    mean: float
    std: float | None
    """Sample standard deviation (n - 1); ``None`` for a single seed, whose spread is unknown and not zero."""
    seeds: int

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Spread":
        """Of at least one score; scores that are not finite are left out."""
        finite = [score for score in scores if math.isfinite(score)]
        if not finite:
            return cls(math.nan, None, 0)
        return cls(statistics.fmean(finite), statistics.stdev(finite) if len(finite) > 1 else None, len(finite))

    def text(self, digits: int = 1) -> str:
        """``23.4 ± 0.8``; without spread for a single seed, a dash for none."""
        if not self.seeds:
            return "–"
        return f"{self.mean:.{digits}f}" + ("" if self.std is None else f" ± {self.std:.{digits}f}")


def unpaired_p_value(scores: Sequence[float], others: Sequence[float]) -> float:
    """Probability of means as far apart, if they were equal: Welch's two-sided t-test, for two scores or more each.

    Scores that are NaN are left out.
    """
    return float(stats.ttest_ind(scores, others, equal_var=False, nan_policy="omit").pvalue)


def paired_p_value(differences: Sequence[float]) -> float:
    """Probability of a mean difference as far from 0, if it were 0: two-sided t-test; 1 for a single difference.

    Args:
        differences: of two methods' scores, seed by seed.
    """
    if len(differences) < 2:
        return 1.0
    if statistics.stdev(differences) < 1e-9:  # equal but for rounding
        return float(abs(statistics.fmean(differences)) < 1e-9)
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
