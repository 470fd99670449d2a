"""Sheets are safe to open, written whole or not at all, and read back as they were meant."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finetune.sheets import SheetError, escape, read_sheet, unescape, write_sheet, write_whole

CELLS = st.text(st.sampled_from("'=+-@\t ab\",;£"), max_size=8) | st.text(st.characters(exclude_categories=["Cs"]))


@given(cell=CELLS)
@example(cell="'=1+1")
@example(cell="'Tis late")
def test_a_cell_is_never_a_formula_and_reads_back_as_it_was(cell: str) -> None:
    written = escape(cell)

    assert not written or written[0] not in "=+-@\t\r\n＝＋－＠"
    assert unescape(written) == cell


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(cells=st.lists(CELLS.map(str.strip).filter(lambda cell: cell and "\r" not in cell and "\0" not in cell)))
def test_rows_read_back_as_they_were_written(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "sheet.csv"
    path.unlink(missing_ok=True)

    write_sheet(path, ("text", "intent"), [(cell, "") for cell in cells])

    assert [row["text"] for row in read_sheet(path, ("text", "intent"))] == cells


def test_spreadsheets_are_told_the_encoding_and_given_no_formula(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.csv", ("text",), [('=HYPERLINK("http://evil.example","£5")',)])

    content = (tmp_path / "sheet.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbftext")
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1] == ['\'=HYPERLINK("http://evil.example","£5")']


def test_a_sheet_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("text,intent\nhello,greeting\n")

    with pytest.raises(SheetError, match="is already there, perhaps with labels in it"):
        write_sheet(tmp_path / "sheet.csv", ("text",), [("bye",)])

    assert (tmp_path / "sheet.csv").read_text() == "text,intent\nhello,greeting\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_cells_may_be_divided_as_the_country_is_used_to(tmp_path: Path, mark: str) -> None:
    (tmp_path / "sheet.csv").write_text(f"text{mark}intent\nhello{mark}greeting\n{mark}\n")

    rows = read_sheet(tmp_path / "sheet.csv", ("text", "intent"))

    assert [(row.number, row["text"], row["intent"], row["why"]) for row in rows] == [(2, "hello", "greeting", "")]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "row 1: the column text and intent is missing. Begin with: text,intent"),
        (b"text\nhello\n", "row 1: the column intent is missing"),
        (b"text,intent\nhello, you,greeting\n", "row 2: the row has more cells than there are columns"),
        (b'text,intent\n"hello,greeting\n', "row 2: it is not valid CSV"),
        ("text,intent\nça va,greeting\n".encode("cp1252"), "byte 12: it is not UTF-8. Save it as CSV"),
        (b'text,intent\n"' + b"x" * 2_000_000 + b'",greeting\n', "it is not valid CSV"),
    ],
)
def test_a_sheet_that_is_wrong_is_refused_with_the_row_and_the_remedy(
    tmp_path: Path, content: bytes, what: str
) -> None:
    (tmp_path / "sheet.csv").write_bytes(content)

    with pytest.raises(SheetError, match=what):
        read_sheet(tmp_path / "sheet.csv", ("text", "intent"))


def test_a_file_is_replaced_whole_and_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "intents.csv"
    path.write_text("old")
    path.chmod(0o640)

    write_whole(path, b"new")

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["intents.csv"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "intents.csv"
    path.write_text("old")
    (tmp_path / ".intents.csv.draft").mkdir()  # where the draft would go

    with pytest.raises(OSError, match="draft"):
        write_whole(path, b"new")

    assert path.read_text() == "old"
