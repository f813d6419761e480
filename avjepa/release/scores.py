"""Main figures of the detections that were scored in the folder of a run."""

from collections.abc import Iterator
from pathlib import Path

from avjepa.files import read_json

_FIGURES = (("mean_ap", "mAP"), ("nd_score", "NDS"))


def scores_of(run: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Split and task, ``val/detection`` say, and what was scored there, from 0 to 1."""
    for path in sorted((run / "evaluation").glob("**/metrics.json")):
        try:
            content = read_json(path)
        except (OSError, ValueError):
            continue
        figures = {
            shown: float(content[key])
            for key, shown in _FIGURES
            if isinstance(content, dict) and isinstance(content.get(key), int | float)
        }
        if figures:
            yield path.parent.relative_to(run / "evaluation").as_posix(), figures
