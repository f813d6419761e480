"""The table of a robustness run: what belongs to which task is told apart."""

from pathlib import Path

from avjepa.evaluate.robustness.results import PAGE, TABLE, merged, read_table, rows_of, write_results
from avjepa.report.robustness import Row

BOXES, GROUND = {"mAP": 0.5, "NDS": 0.25}, {"mIoU": 0.75, "IoU/vehicle": 0.5}


def test_tasks_of_different_scores_share_a_row() -> None:
    figures = {"detection": BOXES, "ground": GROUND, "pedestrians": {"error": 3.0}}
    assert rows_of("m", "C+L", "none", 3, figures) == [Row("m", "C+L", "none", 3, 50.0, 25.0, 75.0)]
    assert rows_of("m", "C+L", "none", 3, {"pedestrians": {"error": 3.0}, "detection": {}}) == []


def test_tasks_of_one_kind_have_rows_and_pages_of_their_own(tmp_path: Path) -> None:
    rows = [
        row
        for sensors, cars in (("C+L", 0.5), ("L", 0.25))
        for row in rows_of("m", sensors, "none", 0, {"cars": {"mAP": cars, "NDS": cars}, "others": {"mAP": 0.1}})
    ]
    assert [(row.model, row.sensors, row.mAP) for row in rows] == [
        ("m: cars", "C+L", 50.0), ("m: others", "C+L", 10.0), ("m: cars", "L", 25.0), ("m: others", "L", 10.0),
    ]  # fmt: skip
    page = write_results(tmp_path, rows, "command", ["one (reason)"]).read_text()
    assert read_table(tmp_path / TABLE) == rows == merged(rows, rows)
    cars, others = page.split("# Robustness of m: others")
    assert "| L | none | 25.0 (0.50) | 25.0 (0.50) | – |" in cars and "](robustness_1.png)" in cars
    assert "| L | none | 10.0 (1.00) | – | – |" in others and "](robustness_2.png)" in others
    assert {path.name for path in tmp_path.iterdir()} == {TABLE, PAGE, "robustness_1.png", "robustness_2.png"}


def test_one_model_has_one_plot(tmp_path: Path) -> None:
    rows = rows_of("m", "L", "none", 0, {"ground": GROUND})
    assert "![Score by condition](robustness.png)" in write_results(tmp_path, rows, "command", []).read_text()
    assert (tmp_path / "robustness.png").stat().st_size > 5000
