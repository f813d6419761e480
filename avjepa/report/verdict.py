"""One honest sentence from a comparison of scores."""

from collections.abc import Sequence

from avjepa.errors import counted
from avjepa.report.seed_statistics import SIGNIFICANCE, Spread, unpaired_p_value


def verdict(metric: str, ours: tuple[str, Sequence[float]], baseline: tuple[str, Sequence[float]]) -> str:
    """What scores of two methods over seeds say, and no more than that.

    A gain or a loss is called one only if Welch's two-sided t-test over the seeds (unequal variances) rejects equal
    means at the level of 5 %. The test sees the spread between seeds alone, not that between scenes or worlds.

    Args:
        metric: its name.
        ours: name of a method and one score a seed.
        baseline: the method it is compared with, at equal steps and labels.
    """
    (name, scores), (base_name, base_scores) = ours, baseline
    spread, base = Spread.of(scores), Spread.of(base_scores)
    if not spread.seeds or not base.seeds:
        return f"{metric}: {name if not spread.seeds else base_name} has no score, so nothing can be compared."
    difference = spread.mean - base.mean
    stated = (
        f"{metric} is {_stated(spread)} {name} against {_stated(base)} {base_name}, a difference of {difference:+.1f}"
    ).replace("of -", "of −")
    if spread.std is None or base.std is None:
        return f"{stated}. One seed does not show how large the noise is: this cannot be called a gain or a loss."
    if spread.std == 0 and base.std == 0:
        return f"{stated}. The seeds agree to the last digit, so there is no spread to test the difference against."
    probability = unpaired_p_value(scores, base_scores)
    tested = f"(Welch's t-test over seeds, p = {probability:.3f})"
    if probability >= SIGNIFICANCE:
        return f"{stated}. That lies within the noise between seeds {tested}: no difference is shown."
    return f"{stated}. The seeds support that it is a **{'gain' if difference > 0 else 'loss'}** {tested}."


def _stated(spread: Spread) -> str:
    return f"{spread.text()} ({counted(spread.seeds, 'seed')})"
