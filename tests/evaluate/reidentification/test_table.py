"""The table of re-identification: what is written is read, runs take their own rows' place, a stranger's is checked."""

from dataclasses import replace
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.evaluate.reidentification.summary import gap_table, label_table, panels, write_summary
from avjepa.evaluate.reidentification.table import COLUMNS, RANGES, Row, add_rows, read_table, write_table
from avjepa.report.reidentification import Point

OWN = Row("C+L", "embedding", ">2", 12, 40.0, 0.5, 0.75, 0.25, 0, "detected", "jepa", 100.0)
MOTION = replace(OWN, method="Kalman filter", rank1=70.0)
GOOD = ["C+L", "embedding", "2-5", "12", "40.0", "0.5", "0.75", "0.25", "0", "detected", "jepa", "100"]


def test_rows_of_one_run_take_the_place_of_its_old_ones(tmp_path: Path) -> None:
    table = tmp_path / "reid.csv"
    others = [replace(OWN, seed=1), replace(OWN, sensors="L"), replace(OWN, labels=5.0), replace(OWN, backbone="none")]
    write_table(table, [OWN, replace(OWN, gap="all"), MOTION, *others])
    add_rows(table, [replace(OWN, rank1=50.0)])
    assert read_table(table) == [MOTION, *others, replace(OWN, rank1=50.0)]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("sensors", "L+C", "sensors 'L\\+C' are not as in C\\+L\\+R"),
        ("sensors", "", "sensors '' are not"),
        ("method", " ", "method ' ' is no name"),
        ("method", "a|b", "method 'a|b' is no name"),
        ("gap", "3-4", "gap '3-4' is none of"),
        ("events", "1.5", "events is '1.5', no whole number"),
        ("events", "-1", "events is '-1', from 0"),
        ("rank1", "101", "rank1 is '101', from 0 to 100"),
        ("mAP", "nan", "mAP is 'nan', from 0 to 1"),
        ("auroc", "inf", "auroc is 'inf'"),
        ("seed", "", "seed"),
        ("boxes", "drawn", "boxes 'drawn' is none of annotated, detected"),
        ("backbone", "x" * 81, "backbone"),
        ("labels", "٣", "labels is"),
    ],
)
def test_a_row_that_cannot_be_is_named(column: str, value: str, words: str, tmp_path: Path) -> None:
    values = [value if name == column else good for name, good in zip(COLUMNS, GOOD, strict=True)]
    table = tmp_path / "reid.csv"
    table.write_text("\n".join((",".join(COLUMNS), ",".join(GOOD), ",".join(values))))
    with pytest.raises(UserError, match=f"reid.csv: no table of re-identification .row 2: .*{words}"):
        read_table(table)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its columns are not"),
        ("a,b\n1,2\n", "its columns are not"),
        (",".join(COLUMNS) + "\nC,embedding\n", "row 1: has not 12 values"),
        ("\n".join((",".join(COLUMNS), ",".join(GOOD), ",".join(GOOD))), "rows 1 and 2 are of one run and gap"),
    ],
)
def test_what_is_no_table_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "reid.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_table(tmp_path / "reid.csv")


def test_a_summary_has_means_and_spreads_over_seeds(tmp_path: Path) -> None:
    # 40 and 44 with all labels: 42 and a sample standard deviation of 2.83; one seed with 5 % of them
    ours = [replace(OWN, gap=gap, seed=seed, rank1=40.0 + 4 * seed) for gap in RANGES for seed in (0, 1)]
    few = [replace(OWN, gap=gap, labels=5.0, rank1=30.0) for gap in RANGES]
    scratch = [replace(OWN, gap=gap, backbone="scratch", rank1=20.0) for gap in RANGES]
    rows = [*ours, *few, *scratch, *(replace(MOTION, gap=gap) for gap in RANGES)]
    of_gaps = gap_table(rows, "detected", "C+L", "jepa")
    assert of_gaps[0].startswith("| C+L, jepa | 0.5-1 s |")
    assert "| embedding | " + " | ".join(["42.0 ± 2.8"] * 6) + " | 0.75 ± 0.00 |" in of_gaps
    assert "| Kalman filter | " + " | ".join(["70.0"] * 6) + " | 0.75 |" in of_gaps
    lines = label_table(rows, "detected")
    assert "| labelled scenes | 5 % | 100 % |" in lines
    assert "| C+L, jepa: embedding, >2 s | 30.0 | 42.0 ± 2.8 |" in lines
    assert "| C+L, scratch: embedding, all gaps | – | 20.0 |" in lines
    first, second = panels(rows, "detected")
    assert (first.title, second.title) == ("C+L, jepa", "C+L, scratch")
    assert first.methods["embedding"][0] == Point("0.5-1", 42.0, (42 - 8**0.5, 42 + 8**0.5))
    write_table(tmp_path / "reid.csv", rows)
    page = write_summary(tmp_path / "reid.csv", read_table(tmp_path / "reid.csv"))
    assert set(of_gaps) | set(lines) <= set(page.read_text().splitlines())
    assert (tmp_path / "reid_detected.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "reid_annotated.png").exists()
