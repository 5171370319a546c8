"""Reading, paragraphs, sentences, chunks and the subset; nothing here needs a model."""

import itertools
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from generation_functions import text
from generation_functions.errors import ConfigError
from generation_functions.records import Chunk, Sentence

SAMPLE = Path(__file__).parent.parent / "raw_text_input"
WORDS = (
    "salt",
    "keeps",
    "fish",
    "and",
    "meat",
    "because",
    "water",
    "leaves",
    "the",
    "cells",
    "of",
    "every",
    "microbe",
)


def dense(string: str) -> str:
    return "".join(string.split())


def sentences(string: str, size: int = 10_000) -> list[str]:
    return [s.text for chunk in chunks(string, size) for s in chunk.sentences]


def chunks(string: str, size: int = 10_000) -> list[Chunk]:
    return text.chunks([text.Source("a.txt", lambda: string)], size)


def prose(count: int, seed: int = 0) -> str:
    rng = random.Random(seed)
    lines = (" ".join(rng.choices(WORDS, k=rng.randint(4, 20))).capitalize() + "." for _ in range(count))
    return " ".join(lines)


# Reading


def read(folder: Path, **files: str | bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Texts and reasons by file name, of `files` written into `folder`; "__" in a name stands for a period."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sources, skipped = text.read_sources(folder)
    return {s.name: s.text for s in sources}, {s.name: s.reason for s in skipped}


@pytest.mark.parametrize(
    ("data", "decoded"),
    [
        ("Größe — “naïve”".encode(), "Größe — “naïve”"),
        ("\ufeffGröße".encode(), "Größe"),
        ("Größe, Maß".encode("utf-16"), "Größe, Maß"),
        ("\ufeffGröße, Maß".encode("utf-16-be"), "Größe, Maß"),
        ("\ufeffGröße, Maß".encode("utf-32-le"), "Größe, Maß"),
        ("He said “naïve café”—twice.".encode("cp1252"), "He said “naïve café”—twice."),
        ("déjà vu \x81 here".encode("latin-1"), "déjà vu \x81 here"),
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        (("Öl, " * 20 + "ü").encode()[:-1], "Öl, " * 20 + "\ufffd"),  # cut in the middle of a character
    ],
)
def test_every_usual_encoding_and_line_end_is_read(tmp_path: Path, data: bytes, decoded: str) -> None:
    texts, _ = read(tmp_path, a__txt=data)
    assert texts["a.txt"] == decoded


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    texts, reasons = read(
        tmp_path,
        good__txt="Salt keeps.",
        noise__txt=random.Random(1).randbytes(3000),
        nul__txt=b"some text\0more",
        controls__txt=bytes(range(1, 32)) * 20,
        russian__txt="Это русский текст.".encode("koi8-r"),
        unmarked__txt="Salt keeps.".encode("utf-16-le"),
        empty__txt="",
        blank__md=" \n\t\n",
        book__PDF="%PDF-1.7",
        page__html="<p>Salt</p>",
    )
    assert texts == {"good.txt": "Salt keeps."}
    assert reasons == {
        "blank.md": "empty",
        "book.PDF": ".PDF is not plain text; convert it to .txt",
        "controls.txt": "binary",
        "empty.txt": "empty",
        "noise.txt": "binary, or UTF-16 without a byte-order mark",
        "nul.txt": "binary, or UTF-16 without a byte-order mark",
        "page.html": ".html is not plain text; convert it to .txt",
        "russian.txt": "neither UTF-8 nor Western European; save it as UTF-8",
        "unmarked.txt": "binary, or UTF-16 without a byte-order mark",
    }


def test_folders_are_read_to_the_bottom_in_the_order_of_names_and_hidden_files_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name in (
        "z.MD",
        "b/deep/a.txt",
        "b/no suffix",
        "Walden, by H. D. Thoreau",
        ".git/x.txt",
        ".hidden.txt",
    ):
        (tmp_path / name).write_text("Salt keeps.")
    texts, reasons = read(tmp_path)
    assert list(texts) == ["Walden, by H. D. Thoreau", "b/deep/a.txt", "b/no suffix", "z.MD"]
    assert reasons == {}


def test_links_that_go_round_or_nowhere_end_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "sub" / "again.txt").symlink_to("../a.txt")
    (tmp_path / "self.txt").symlink_to("self.txt")
    (tmp_path / "dead.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    texts, reasons = read(tmp_path, a__txt="Salt keeps.")
    assert list(texts) == ["a.txt"]
    assert reasons == {
        "dead.txt": "cannot be read: No such file or directory",
        "pipe.txt": "not a file but a device or pipe",
        "self.txt": "cannot be read: Too many levels of symbolic links",
        "sub/again.txt": "a link to a.txt",
        "sub/up": "a link to the folder itself",
    }


def test_a_file_without_permission_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        if path.name == "mine.txt":
            raise PermissionError(13, "Permission denied")
        return b"Salt keeps."

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    texts, reasons = read(tmp_path, mine__txt="x", yours__txt="x")
    assert list(texts) == ["yours.txt"]
    assert reasons == {"mine.txt": "cannot be read: Permission denied"}


def test_no_folder_and_nothing_to_read_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PATH\.INPUT: folder .*nowhere does not exist"):
        text.read_sources(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no text to read in .*: the folder is empty"):
        text.read_sources(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.pdf: \.pdf is not plain text.*; empty\.txt: empty$"):
        read(tmp_path, a__pdf="x", empty__txt="")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        text.read_sources(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Salt, by Ann Reed, published 1897.txt", ("Salt", "Ann Reed", "1897")),
        ("Salt, Smoke, by Ann Reed (part).txt", ("Salt, Smoke", "Ann Reed", "")),
        ("deep/Salt, by Reed and Poe, published c. 1380 BC (2).md", ("Salt", "Reed and Poe", "c. 1380 BC")),
        ("Day by Day.txt", ("Day by Day", "", "")),
        ("Walden, by H. D. Thoreau", ("Walden", "H. D. Thoreau", "")),
        ("notes v1.2", ("notes v1.2", "", "")),
    ],
)
def test_a_file_name_tells_title_author_and_year(
    tmp_path: Path, name: str, told: tuple[str, str, str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("Salt keeps.")
    [source], _ = text.read_sources(tmp_path)
    assert (source.title, source.author, source.year) == told
    description = source.description
    assert description == text.describe(source.name)
    assert description == ", ".join(
        part for part in (told[0], told[1] and f"by {told[1]}", told[2] and f"published {told[2]}") if part
    )


# The licence


HEAD = "The Project Gutenberg eBook of Salt\n\nThis ebook is for the use of anyone.\n\n"
START = "*** START OF THE PROJECT GUTENBERG EBOOK SALT\nAND SMOKE ***\n\nProduced by A. Reed and\nothers\n\n"
END = "*** END OF THE PROJECT GUTENBERG EBOOK SALT ***\n\nUpdated editions will replace the licence.\n"


@pytest.mark.parametrize(
    "book",
    [
        HEAD + START + "Salt keeps.\n\n" + END,
        HEAD
        + "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\nSalt keeps.\n\nEnd of the Project "
        "Gutenberg Etext of Salt\n",
        HEAD + START + "Salt keeps.\n\nEnd of Project Gutenberg's Salt, by A. Reed\n\n" + END,
        "Salt keeps.\n",
    ],
)
def test_a_gutenberg_licence_goes_whole_and_offsets_count_from_the_files_start(book: str) -> None:
    [chunk] = chunks(book)
    assert chunk.text == "Salt keeps."
    assert book[chunk.start : chunk.end] == "Salt keeps."


def test_a_book_is_never_lost_to_a_licence_mark() -> None:
    book = prose(1000)
    assert len(book) > 30_000
    both = book + "\n\n" + HEAD + START + "Salt keeps.\n\n" + END
    assert dense("".join(chunk.text for chunk in chunks(both))).startswith(dense(book))
    assert chunks(HEAD + START)[0].text.startswith("The Project Gutenberg")


# Sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Mr. Smith met Dr. Green.", "They left."],
        ["It is salted, e.g. ham, i.e. pork.", "Fig. 3 shows it.", "See Fig. 3.", "It is 3.14 kg."],
        ["J. S. Cushing Co. printed it for Prof. M. R. Kapoustin.", "He was glad."],
        ["He lived in the U.S. in 1906.", "The U.S. is large.", "He moved to the U.S.", "It is far."],
        ['"What?" he said.', '"Is it No. 5?"', "No.", "It is not."],
        ["Made by Acme Inc.", "The firm is old (cf. p. 5, vol. 2), c. 1380 B.C. or so.", "Yes!", "Really?!"],
        ["“I know.”", "‘Do you?’", "(He did not.)", "He left... and came back."],
        ["It ends here.[6]", "It goes on.*", "The _end._", "So it is."],
        ["The pot holds the salt, sugar, &c.", "It is at 100° C.", "The pot boils."],
        ["你好，世界。", "今天天气很好！", "「好的。」", "他说。"],
        ["هذا نص.", "ما هذا؟", "هذا كتاب."],
        ["यह एक वाक्य है।", "क्या यह तीसरा है?"],
        ["i went home.", "then i slept."],
    ],
)
def test_sentences_end_where_they_end(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected
    assert sentences(textwrap.fill(" ".join(expected), 30)) == expected


def test_abbreviations_are_learned_from_the_text_itself() -> None:
    book = (
        "It holds 5 cub. dcm. of brine. "
        + "A jar of 3 cub. dcm. Is enough for it. The cub. dcm. was new. " * 20
    )
    assert sentences(book)[0] == "It holds 5 cub. dcm. of brine."


def test_numbered_headings_do_not_glue_years_to_the_next_sentence() -> None:
    book = "1. The Can\n\n2. The Jar\n\n3. The Lid\n\nIt was made in 1906. The can was new.\n"
    assert sentences(book) == [
        "1. The Can",
        "2. The Jar",
        "3. The Lid",
        "It was made in 1906.",
        "The can was new.",
    ]


# Paragraphs


def test_wrapped_lines_are_joined_and_blank_lines_part_paragraphs() -> None:
    first, second = prose(5, seed=1), prose(4, seed=2)
    [chunk] = chunks(textwrap.fill(first, 72) + "\n\n" + textwrap.fill(second, 72))
    assert chunk.text == first + "\n\n" + second


def test_a_paragraph_of_two_lines_is_joined_though_the_second_is_longer() -> None:
    book = "CHAPTER I\n\nSalt draws the water\nout of meat, e.g. of ham.  It cures."
    assert chunks(book)[0].sentences == (
        Sentence("CHAPTER I", 0, 9, True),
        Sentence("Salt draws the water out of meat, e.g. of ham.", 11, 57, True),
        Sentence("It cures.", 59, 68),
    )


def test_a_word_hyphenated_at_the_line_end_stays_as_it_is() -> None:
    book = "Salt is a well-\nknown and impor-\ntant thing in two-\nand three-year-old\ncheese--but not all."
    [chunk] = chunks(book)
    assert (
        chunk.text
        == "Salt is a well-known and impor-tant thing in two- and three-year-old cheese--but not all."
    )


VERSE = """\
The salt is white, the smoke is grey,
The cold is colder every day;
The can is shut, the jar is tight,
And all the cabbage sings at night."""
TABLE = "+------+-------+\n| salt | 0.75  |\n| meat | 0.99  |\n+------+-------+"
CODE = "def keep(fish):\n    for part in fish:\n        salt(part)\n    return fish"
ADDRESS = "The Salt Press\nNew York\n1906"


@pytest.mark.parametrize("block", [VERSE, TABLE, CODE, ADDRESS])
def test_line_ends_that_mean_something_are_kept(block: str) -> None:
    page = textwrap.fill(prose(20), 72)
    indented = textwrap.indent(block, "    ")
    assert [s for s in sentences(f"{page}\n\n{indented}\n\n{page}") if "\n" in s] == [block]


def test_headings_and_list_items_stand_alone() -> None:
    book = """\
        # Salt
        Salt draws water out of fish, and out of the microbes that would eat it,
        so that few of them can live there. These help:

        - cold
        - smoke, which is made of wood and which must be neither too hot nor too
          wet
        - a lid

          1.  The Beginnings of Salt, of Smoke, of Cold, and of all the others in
              One Pot.
          2.  The End.
        """
    [chunk] = chunks(textwrap.dedent(book))
    opening = [s.text[:9] for s in chunk.sentences if s.opens_paragraph]
    assert opening == ["# Salt", "Salt draw", "- cold", "- smoke, ", "- a lid", "1. The Be", "2. The En"]
    assert "too wet\n\n- a lid" in chunk.text
    assert "all the others in One Pot." in chunk.text


def test_paragraphs_that_only_an_indent_or_a_long_line_shows_are_found() -> None:
    first, second = prose(5, seed=1), prose(6, seed=2)
    indented = "\n".join(textwrap.fill(p, 72, initial_indent="    ") for p in (first, second))
    for book in (indented, f"{first}\n{second}"):
        assert chunks(book)[0].text == f"{first}\n\n{second}"


# Chunks


def test_chunks_hold_whole_sentences_and_break_at_paragraphs_but_not_after_a_heading() -> None:
    paragraphs = [prose(6, seed) for seed in range(40)]
    book = "\n\n".join(f"{n}. WHY SALT\n\n{textwrap.fill(p, 70)}" for n, p in enumerate(paragraphs))
    made = chunks(book, 1000)
    assert len(made) > 10
    for chunk in made:
        assert len(chunk.text) <= 1000
        assert chunk.sentences[-1].text.endswith(".")
    opening = sum(chunk.sentences[0].opens_paragraph for chunk in made)
    assert opening > 0.7 * len(made)


def test_a_long_sentence_is_split_at_words_and_a_long_word_where_it_must_be() -> None:
    made = chunks("word " * 400 + "x" * 250 + " tail", 100)
    assert all(len(chunk.text) <= 100 for chunk in made)
    assert {chunk.text for chunk in made[:19]} == {" ".join(["word"] * 20)}
    assert dense("".join(chunk.text for chunk in made)) == "word" * 400 + "x" * 250 + "tail"


PIECES = [
    *(
        "word ",
        "The ",
        "a",
        ". ",
        ".",
        "!",
        "?!",
        "...",
        ",",
        " ",
        "\n",
        "\n\n",
        "\t",
        "    ",
        "\f",
        "\u2028",
        "\xa0",
    ),
    *(
        "Mr. ",
        "J. ",
        "e.g. ",
        "&c. ",
        "3.14 ",
        "1. ",
        "- ",
        "# ",
        "| ",
        "[6]",
        "*",
        "_",
        "“",
        "”",
        '"',
        "'",
        "—",
        "--",
    ),
    *("é", "e\u0301", "。", "日本", "　", "😀", "\u200b", "x" * 50, "well-\nknown ", "(", ")", "{", "\x1b"),
]


def test_chunks_hold_every_character_once_and_in_order() -> None:
    rng = random.Random(7)
    for _ in range(400):
        book = "".join(rng.choices(PIECES, k=rng.randint(1, 150))) + "a"
        size = rng.choice([1, 3, 20, 100, 1900])
        made = chunks(book, size)
        assert dense("".join(chunk.text for chunk in made)) == dense(book)
        assert max(len(chunk.text) for chunk in made) <= size
        assert len({chunk.key for chunk in made}) == len(made)
        found = [s for chunk in made for s in chunk.sentences]
        assert all(dense(book[s.start : s.end]) == dense(s.text) != "" for s in found)
        assert all(a.end <= b.start for a, b in itertools.pairwise(found))


def test_repeated_text_has_its_own_key_each_time() -> None:
    made = chunks("Salt keeps fish.\n\n" * 3, 20)
    assert [chunk.repeat for chunk in made] == [0, 1, 2]
    assert len({chunk.key for chunk in made}) == 3


def test_a_short_rest_joins_the_chunk_before_it_where_it_fits() -> None:
    book = f"{'a' * 69}.\n\n{'b' * 20}. {'c' * 39}.\n\nTail."
    assert [len(chunk.text) for chunk in chunks(book, 141)] == [141]
    assert [len(chunk.text) for chunk in chunks(book, 100)] == [70, 69]


def test_chunks_are_the_same_in_another_process() -> None:
    code = (
        "import sys; from pathlib import Path; from generation_functions import text\n"
        "sources, _ = text.read_sources(Path(sys.argv[1]))\n"
        "print(*(c.key for c in text.chunks(sources, 700)))"
    )
    sources, _ = text.read_sources(SAMPLE)
    expected = " ".join(chunk.key for chunk in text.chunks(sources, 700))
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(SAMPLE)],
        cwd=SAMPLE.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (ran.stdout.strip(), ran.stderr) == (expected, "")


def test_the_shipped_sample_has_its_front_matter_in_a_chunk_of_its_own() -> None:
    sources, skipped = text.read_sources(SAMPLE)
    assert skipped == []
    assert sources[0].author
    made = text.chunks(sources, 1900)
    assert "ACKNOWLEDGEMENTS" in made[0].text
    assert made[1].text.startswith("1. WHAT SPOILS FOOD")
    assert 5 <= len(made) <= 9
    assert all(len(line) <= 75 for source in sources for line in source.text.split("\n"))


# Subset


def numbered(source: str, count: int) -> list[Chunk]:
    return [Chunk(source, (Sentence(f"{source} {n}.", n, n + 1),)) for n in range(count)]


def test_a_subset_reaches_every_source_and_every_part_of_it() -> None:
    made = numbered("long", 300) + numbered("short", 30) + numbered("tiny", 1)
    taken = text.subset(made, 23)
    shares = [sum(chunk.source == name for chunk in taken) for name in ("long", "short", "tiny")]
    assert sum(shares) == 23
    assert shares[0] > shares[1] > 0
    assert shares[2] == 1
    quarters = {chunk.start // 75 for chunk in taken if chunk.source == "long"}
    assert quarters == {0, 1, 2, 3}
    assert taken == [chunk for chunk in made if chunk in taken]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 31, 1000])
def test_a_subset_has_exactly_its_size(size: int) -> None:
    made = numbered("a", 20) + numbered("b", 11)
    assert len(text.subset(made, size)) == min(size, 31)


def test_a_bigger_subset_holds_the_smaller_one() -> None:
    made = numbered("a", 100) + numbered("b", 40)
    subsets = [{chunk.key for chunk in text.subset(made, size)} for size in range(60)]
    assert all(small < big for small, big in itertools.pairwise(subsets))


def test_another_source_or_an_edited_chunk_changes_little_of_a_subset() -> None:
    made = numbered("a", 100) + numbered("b", 100)
    before = {chunk.key for chunk in text.subset(made, 20)}
    more = {chunk.key for chunk in text.subset(made + numbered("c", 20), 20)}
    assert len(before - more) <= 3
    for edited in (0, 50, 120):
        changed = [*made[:edited], *numbered("b", 101)[-1:], *made[edited + 1 :]]
        assert len(before - {chunk.key for chunk in text.subset(changed, 20)}) <= 4
