"""Which boxes belong to a class that can be taught?"""

from collections import Counter

from avjepa.data.inspection.check import ENOUGH, Check, per_cent
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import counted

_LISTED = 6


def class_check(annotated: AnnotatedKeyframes, taxonomy: Taxonomy) -> Check:
    """Boxes of every class, categories of none, and classes without a box."""
    per_class = Counter(annotated.class_index.tolist())
    per_category = Counter(annotated.category[annotated.class_index < 0].tolist())
    classless = {annotated.categories[row]: number for row, number in per_category.most_common()}
    unknown = {name: number for name, number in classless.items() if name not in taxonomy.categories}
    left_out = {name: number for name, number in classless.items() if name in taxonomy.categories}
    without = [name for index, name in enumerate(taxonomy.classes) if not per_class[index]]
    total = len(annotated.class_index)
    of_class = total - per_class[-1]
    measured = f"{of_class:,} of {counted(total, 'box')} have a class"
    if left_out:
        measured += f"; without one by the taxonomy: {_listed(left_out)}"
    if without:
        measured += f"; classes without a box: {', '.join(without)}"
    verdicts = []
    if unknown:
        lost = per_cent(sum(unknown.values()) / total)
        verdicts.append(
            f"{lost} of the boxes are of categories that the taxonomy does not know and are never taught: "
            f"{_listed(unknown)}; name them under 'categories' of a file and pass it as --taxonomy"
        )
    elif total >= ENOUGH and of_class * 10 < total:
        verdicts.append(
            f"{per_cent(1 - of_class / total)} of the boxes have no class: {_listed(left_out)}; map what is to be "
            "found to a class in a file and pass it as --taxonomy"
        )
    rows = tuple((name, per_class[index]) for index, name in enumerate(taxonomy.classes))
    return Check("class map", measured, tuple(verdicts), ("class", "boxes"), rows)


def _listed(numbers: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({number:,})" for name, number in list(numbers.items())[:_LISTED])
    return shown + (f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else "")
