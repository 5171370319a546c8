"""A batch as a spreadsheet and back: nothing that a person did not change is an act, and no newer act is lost."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from scripted import Answer, Project, agreeable, like_pairs, says

from generation_functions import Workbench
from generation_functions.engine import Request
from generation_functions.errors import RunError
from generation_functions.export import FILES
from generation_functions.spreadsheet import LONGEST_CELL

EDITABLE = [step for step in FILES if step not in ("chunks", "distinct")]
HOSTILE = [
    '=HYPERLINK("http://127.0.0.1","click")',
    "+1",
    "-1 to 4",
    "@SUM(A1)",
    "'=quoted",
    "'just an apostrophe",
    'a, b; c\t"d"\r\ne',
    "<img src=x onerror=alert(1)>",
    "\u202eright to left\u2028new line",
    "\x1b[31mred\0",
    "half a character \ud83d",
    "long " * 20_000,
]


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))


def rewrite(file: Path, changed: list[dict[str, str]], **form: Any) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, changed[0], **form)
    writer.writeheader()
    writer.writerows(changed)
    file.write_text(text.getvalue(), encoding="utf-8")


@pytest.fixture
def sheet(finished: Project, tmp_path: Path) -> Path:
    return tmp_path / "pairs.csv"


@pytest.mark.parametrize("step", EDITABLE)
def test_a_spreadsheet_that_nobody_changed_holds_no_acts(finished: Project, sheet: Path, step: str) -> None:
    with finished.open() as wb:
        wb.review(step).to_csv(sheet)
        assert len(rows(sheet)) == len(wb.review(step).review)
        assert wb.import_edits(sheet) == []


def test_changed_texts_and_statuses_come_back_as_acts(finished: Project, sheet: Path) -> None:
    with finished.open() as wb:
        before = wb.standalone().records
        wb.review("standalone").to_csv(sheet)
        first, second, *rest = rows(sheet)
        rewrite(sheet, [first | {"answer": "By hand, in a sheet."}, second | {"status": " Rejected "}, *rest])
        assert [act.kind for act in wb.import_edits(sheet)] == ["edit", "reject"]
        standing = wb.standalone()
        assert standing[0].answer == "By hand, in a sheet."
        assert standing.records[1:] == before[2:]
        assert wb.import_edits(sheet) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_goes_there_and_back(finished: Project, sheet: Path, text: str) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer=text)
        wb.review("standalone").to_csv(sheet)
        cell = rows(sheet)[0]["answer"]
        assert not cell.startswith(("=", "+", "-", "@"))
        assert wb.import_edits(sheet) == []
        assert wb.standalone()[0].answer == text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")


@pytest.mark.parametrize("form", [{"delimiter": ";"}, {"delimiter": "\t"}, {"lineterminator": "\r\n"}])
def test_it_is_read_whichever_program_wrote_it(finished: Project, sheet: Path, form: dict[str, str]) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="One,\ntwo; three.")
        wb.review("standalone").to_csv(sheet)
        first, *rest = rows(sheet)
        rewrite(sheet, [first | {"question": "By hand?"}, *rest], **form)
        (act,) = wb.import_edits(sheet)
        assert act.changes == (("question", "By hand?"),)


def test_a_row_that_was_changed_in_the_run_since_is_refused_and_nothing_is_taken(
    finished: Project, sheet: Path
) -> None:
    with finished.open() as wb:
        wb.review("standalone").to_csv(sheet)
        first, second, *rest = rows(sheet)
        wb.edit(wb.standalone()[1], answer="In the view.")
        rewrite(sheet, [first | {"answer": "In the sheet."}, second | {"answer": "Lost?"}, *rest])
        with pytest.raises(
            RunError, match=r"pairs.csv:3: .* changed in the run since .* nothing was taken back"
        ):
            wb.import_edits(sheet)
        assert [pair.answer for pair in wb.standalone()][1] == "In the view."
        assert "In the sheet." not in [pair.answer for pair in wb.standalone()]


def test_a_row_that_only_the_run_has_changed_since_stays_as_the_run_has_it(
    finished: Project, sheet: Path
) -> None:
    with finished.open() as wb:
        wb.review("standalone").to_csv(sheet)
        first, *rest = rows(sheet)
        wb.edit(wb.standalone()[1], answer="In the view.")
        rewrite(sheet, [first | {"answer": "In the sheet."}, *rest])
        assert [act.changes for act in wb.import_edits(sheet)] == [(("answer", "In the sheet."),)]
        assert [pair.answer for pair in wb.standalone()][:2] == ["In the sheet.", "In the view."]


def test_readable_files_refuse_a_lost_update_as_well(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["standalone"]
        wb.standalone()
        text = file.read_text(encoding="utf-8")
        answer = wb.standalone()[0].answer
        wb.edit(wb.standalone()[0], answer="In the view.")
        file.write_text(text.replace(answer, "In the file."), encoding="utf-8")
        with pytest.raises(RunError, match="changed in the run since"):
            wb.import_edits(file)


def test_a_cell_that_a_program_cut_is_refused(finished: Project, sheet: Path) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="long " * 10_000)
        wb.review("standalone").to_csv(sheet)
        first, *rest = rows(sheet)
        rewrite(sheet, [first | {"answer": first["answer"][:LONGEST_CELL]}, *rest])
        with pytest.raises(RunError, match="answer was cut by the program"):
            wb.import_edits(sheet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "elsewhere.txt"}, "source of a pair cannot be edited"),
        ({"status": "maybe"}, "status can be kept or rejected, not 'maybe'"),
        ({"answer": " "}, "answer must be a text that is not empty"),
        ({"id": "0" * 16}, "is no record of this run any more"),
        ({"step": "vet"}, "has rows of standalone, vet"),
    ],
)
def test_what_cannot_be_taken_back_is_said_with_its_row(
    finished: Project, sheet: Path, change: dict[str, str], message: str
) -> None:
    with finished.open() as wb:
        wb.review("standalone").to_csv(sheet)
        first, *rest = rows(sheet)
        rewrite(sheet, [first | change, *rest])
        with pytest.raises(RunError, match=message):
            wb.import_edits(sheet)
        assert wb.review("standalone").review.counts()["edited"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "none of the files that can be taken back"),
        (b"status,question\nkept,Why?\n", "has no column id"),
        ("status;id;stood;step\nkept;ä".encode("cp1252"), "not in UTF-8"),
    ],
)
def test_another_file_is_named_as_such(finished: Project, sheet: Path, content: bytes, message: str) -> None:
    sheet.write_bytes(content)
    with finished.open() as wb, pytest.raises(RunError, match=message):
        wb.import_edits(sheet)


def test_rows_may_be_sorted_and_taken_out(finished: Project, sheet: Path) -> None:
    with finished.open() as wb:
        wb.review("standalone").to_csv(sheet)
        found = rows(sheet)
        rewrite(sheet, [found[-1] | {"answer": "The last."}])
        assert len(wb.import_edits(sheet)) == 1
        assert wb.standalone()[-1].answer == "The last."


def test_a_conversation_has_a_column_for_each_turn(finished: Project, sheet: Path) -> None:
    with finished.open() as wb:
        wb.review("converse").to_csv(sheet)
        first, *rest = rows(sheet)
        assert first["turn 1"] and first["turn 2"]
        rewrite(sheet, [first | {"turn 2": "By hand."}, *rest])
        (act,) = wb.import_edits(sheet)
        assert act.changes == (("turn 2", "By hand."),)
        assert _opened(wb).converse()[0].turns[1].text == "By hand."


def _opened(wb: Workbench) -> Workbench:
    wb.status()
    return wb


def test_two_copies_of_one_sheet_do_not_undo_each_other(finished: Project, tmp_path: Path) -> None:
    with finished.open() as wb:
        anna, ben = tmp_path / "anna/pairs.csv", tmp_path / "ben/pairs.csv"
        for copy in (anna, ben):
            copy.parent.mkdir()
            wb.review("standalone").to_csv(copy)
        first, second, *rest = rows(anna)
        rewrite(anna, [first | {"answer": "Anna's."}, second, *rest])
        rewrite(ben, [first, second | {"answer": "Ben's."}, *rest])
        wb.import_edits(anna)
        wb.import_edits(ben)
        assert [pair.answer for pair in wb.standalone()][:2] == ["Anna's.", "Ben's."]


def test_a_sheet_with_two_rows_in_the_same_words_is_taken_back_once(project: Project, tmp_path: Path) -> None:
    twin = ("What keeps meat over winter?", "1", "Salt.")
    with project.open(lambda r: like_pairs(twin, twin) if r.stage == "write_pairs" else agreeable(r)) as wb:
        wb.run()
        sheet = wb.review("standalone").to_csv(tmp_path / "pairs.csv")
        first, *rest = rows(sheet)
        rewrite(sheet, [first | {"answer": "By hand."}, *rest])
        assert len(wb.import_edits(sheet)) == 1
        assert wb.import_edits(sheet) == []


def test_a_sheet_that_is_written_anew_is_taken_back(finished: Project, sheet: Path) -> None:
    with finished.open() as wb:
        for answer in ("X.", "Y."):
            wb.review("standalone").to_csv(sheet)
            first, *rest = rows(sheet)
            rewrite(sheet, [first | {"answer": answer}, *rest])
            assert len(wb.import_edits(sheet)) == 1
            wb.undo(wb.standalone()[0])


def test_a_correction_in_a_row_that_stays_rejected_lets_nothing_go_on(
    project: Project, tmp_path: Path
) -> None:
    def rejecting(request: Request) -> Answer:
        return says("Reject") if request.stage == "make_standalone" else agreeable(request)

    with project.open(rejecting) as wb:
        wb.run()
        sheet = wb.review("standalone").to_csv(tmp_path / "pairs.csv")
        first, *rest = rows(sheet)
        rewrite(sheet, [first | {"answer": "Corrected."}, *rest])
        assert [act.kind for act in wb.import_edits(sheet)] == ["edit", "reject"]
        assert wb.standalone().ledger.kept == 0


@pytest.mark.parametrize("answer", ["007", "0.50", "3-4", "1e5", "12:30", "50%", "TRUE", "false", "1,000"])
def test_no_cell_looks_like_a_number_a_date_or_a_truth(finished: Project, sheet: Path, answer: str) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer=answer)
        wb.review("standalone").to_csv(sheet)
        first = rows(sheet)[0]
        assert first["answer"] == f"'{answer}"
        assert first["id"][0] == first["stood"][0] == "k"
        assert wb.import_edits(sheet) == []
        assert wb.standalone()[0].answer == answer
