"""Files to take home: the readable state of each step, and the datasets.

`readable` writes what a step made as JSON lines, one item a line, that can be edited and taken back as acts.
`datasets` writes export/: each file whole or not at all, and none of them empty. It knows records, not
engines.

    {"conversations": [{"from": "system", "value": "..."}, {"from": "human", "value": "Why is ...?"},
                       {"from": "gpt", "value": "It holds too little water ..."}]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .batch import Batch, Files, plain
from .config import Config
from .conversations import ASSISTANT, USER
from .errors import RunError
from .records import Cast, Chunk, Conversation, Group, Pair, Status, Turn
from .step import Item, edited
from .store import Overlay

# The readable file of each step; the names are the lineage's where it had one.
FILES = {
    "chunks": "chunks.jsonl",
    "judge": "worthy_for_questions.jsonl",
    "write": "qatuples_raw.jsonl",
    "vet": "qatuples_vetted.jsonl",
    "standalone": "qatuples_revised.jsonl",
    "distinct": "qatuples_distinct.jsonl",
    "cast": "multiturn_convs_info.jsonl",
    "converse": "multiturn_convs.jsonl",
}

Row = dict[str, Any]


def readable(folder: Path, batch: Batch) -> Path:
    """The batch as JSON lines: `id` is the record's key, `status` and `reason` its item's. Gives the file."""
    rows = [row for item in batch.items for row in _item_rows(item, batch.overlay)]
    file = folder / FILES[batch.name]
    write_whole(file, _lines(rows))
    return file


def _item_rows(item: Item, overlay: Overlay) -> Iterable[Row]:
    for record in item.outcome.records or (item.input,):
        status = status_of(record, item, overlay)
        row = {"id": record.key, "status": status, "reason": item.outcome.reason}
        yield {**row, **fields_of(edited(record, overlay)), **_verdicts(item)}


def status_of(record: Any, item: Item, overlay: Overlay) -> Status:
    """The status of one of an item's records: of a kept item's, some may have been rejected by hand."""
    if edited(record, overlay) in item.passing(overlay):
        return "kept"
    return "rejected" if item.outcome.records and item.status(overlay) == "kept" else item.status(overlay)


def _verdicts(item: Item) -> Row:
    if not item.outcome.verdicts:
        return {}
    return {
        "verdicts": [
            {
                "check": v.check,
                "passed": v.passed,
                "votes": [{"passed": w.passed, "reason": w.reason} for w in v.votes],
            }
            for v in item.outcome.verdicts
        ]
    }


def fields_of(record: Any) -> Row:
    """A record's own content as JSON-able fields."""
    match record:
        case Chunk():
            return {"text": record.text, **_place(record)}
        case Pair():
            return {
                "question": record.question,
                "answer": record.answer,
                "evidence": list(record.evidence),
                "quotation": record.proof,
                "text": record.chunk.text,
                **_place(record.chunk, record.evidence),
            }
        case Group():
            return {"pairs": [[p.question, p.answer] for p in record.pairs], **_place(record.chunk)}
        case Cast():
            names = ("answerer", "asker", "card", "scenario", "plan")
            return {**{n: getattr(record, n) for n in names}, **fields_of(record.group)}
        case Conversation():
            turns = {f"turn {n}": t.text for n, t in enumerate(record.turns, 1)}
            speakers = [t.speaker for t in record.turns]
            return {"turns": turns, "speakers": speakers, **fields_of(record.cast)}
    raise AssertionError(f"a {type(record).__name__} is in no file")


def _place(chunk: Chunk, evidence: Sequence[int] = ()) -> Row:
    """Where a record stands in its source: of the evidence if there is some, else of the chunk; in
    characters.
    """
    sentences = [chunk.sentences[n - 1] for n in evidence] or chunk.sentences
    return {"source": chunk.source, "start": sentences[0].start, "end": sentences[-1].end}


# Datasets


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation as datasets have it: no greeting, the asking side first, the answering side last."""

    system: str
    turns: tuple[Turn, ...]
    asker: str
    chunk: Chunk

    def sharegpt(self, system: str | None = None) -> Row:
        first = [{"from": "system", "value": self.system if system is None else system}]
        said = [{"from": "human" if t.speaker == self.asker else "gpt", "value": t.text} for t in self.turns]
        return {"conversations": first + said}

    def messages(self) -> Row:
        first = [{"role": "system", "content": self.system}]
        said = [
            {"role": "user" if t.speaker == self.asker else "assistant", "content": t.text}
            for t in self.turns
        ]
        return {"messages": first + said}


def datasets(
    folder: Path,
    config: Config,
    chunks: Sequence[Chunk],
    pairs: Sequence[Pair],
    made: Sequence[Conversation],
) -> Files:
    """Write every dataset into `folder`; gives the files by their name, the one that trainers want first.

    `chunks` are those of whole sources: joined again they are the texts without licences and broken lines.
    `made` may be empty only where conversations are skipped: then each pair is a dialogue of its own. The
    caller explains an empty dataset before this is called.
    """
    talks = [_dialogue(c, config) for c in made] or [_lone(pair, config) for pair in pairs]
    files: dict[str, str] = {
        "simplified_data.jsonl": _lines(talk.sharegpt() for talk in talks),
        "openai_messages.jsonl": _lines(talk.messages() for talk in talks),
        "plain_qa.jsonl": _lines(_plain(pair) for pair in pairs),
        "alpaca.jsonl": _lines({"instruction": p.question, "input": "", "output": p.answer} for p in pairs),
        "pretraining.jsonl": _lines({"text": "\n\n".join(texts)} for texts in _by_source(chunks)),
    }
    if made:
        listed = [_master(conversation) for conversation in made]
        files["master_list.jsonl"] = _lines(
            {**row, "conversation": "\n".join(row["conversation"])} for row in listed
        )
        files["processed_masterlist.json"] = json.dumps(listed, ensure_ascii=False, indent=1) + "\n"
    if config["SYSTEM.ASSISTANT_MODE"] or not made:
        rag = config["SYSTEM.FINAL_ASSISTANT_PROMPT_RAG"]
        without = config["SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"]
        rag_rows = (talk.sharegpt(rag.replace("{data}", talk.chunk.text)) for talk in talks)
        files["simplified_data_rag.jsonl"] = _lines(rag_rows)
        files["simplified_data_no_rag.jsonl"] = _lines(talk.sharegpt(without) for talk in talks)
    for name in files:
        write_whole(folder / name, files[name])
    _remove_others(folder, files)
    return Files({name: folder / name for name in files})


def _by_source(chunks: Sequence[Chunk]) -> Iterable[list[str]]:
    texts: dict[str, list[str]] = {}
    for chunk in chunks:
        texts.setdefault(chunk.source, []).append(chunk.text)
    return texts.values()


def _dialogue(conversation: Conversation, config: Config) -> Dialogue:
    cast = conversation.cast
    turns = conversation.turns
    if turns[0].speaker != cast.asker and not config["EXPORT.GREETING"]:
        turns = turns[1:]
    system = (
        f"{cast.card}\n\nScenario: {cast.scenario}"
        if cast.card
        else config["SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"]
    )
    return Dialogue(system, turns, cast.asker, cast.group.chunk)


def _lone(pair: Pair, config: Config) -> Dialogue:
    turns = (Turn(USER, pair.question), Turn(ASSISTANT, pair.answer))
    return Dialogue(config["SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"], turns, USER, pair.chunk)


def _plain(pair: Pair) -> Row:
    fields = fields_of(pair)
    return {name: fields[name] for name in ("question", "answer", "source", "start", "end", "quotation")}


def _master(conversation: Conversation) -> Row:
    """The lineage's five, by name instead of by place, and where they come from."""
    cast, group = conversation.cast, conversation.cast.group
    return {
        "conversation": [f"{turn.speaker}: {turn.text}" for turn in conversation.turns],
        "character": cast.card,
        "scenario": cast.scenario,
        "scenario_plan": cast.plan,
        "qa_tuples": [[p.question, p.answer, p.chunk.text, p.chunk.source] for p in group.pairs],
        "primary_name": cast.answerer,
        "source_filename": group.chunk.source,
        "rag_context": group.chunk.text,
    }


def explain_empty(batches: Sequence[Batch]) -> RunError | None:
    """The error for a run whose last batch has nothing in it: which step lost the items, and three of them."""
    if batches[-1].records:
        return None
    step = next(batch for batch in batches if not batch.records)
    lost = [item for item in step.items if not item.passing(step.overlay)][:3]
    shown = "".join(
        f"\n  {i.status(step.overlay)}: {_short(i.outcome.reason)} | {_short(_title(i))}" for i in lost
    )
    return RunError(f"There is nothing to export: {step.name} let nothing through ({step.ledger}).{shown}")


def _title(item: Item) -> str:
    record = item.outcome.records[0] if item.outcome.records else item.input
    fields = fields_of(record)
    return str(fields.get("question") or fields.get("text") or fields.get("turns") or fields.get("pairs"))


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= 120 else line[:119] + "\u2026"


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_whole(file: Path, content: str) -> None:
    """Replace the file by `content` or leave it as it was; it is never seen in between.

    Same content is not written.
    """
    data = content.encode("utf-8", "replace")
    if file.is_file() and file.read_bytes() == data:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.part")  # one name, so that what a kill leaves is replaced later
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_others(folder: Path, files: Iterable[str]) -> None:
    """Datasets of an earlier export with other settings, which would be taken for these."""
    known = {
        "master_list.jsonl",
        "processed_masterlist.json",
        "simplified_data_rag.jsonl",
        "simplified_data_no_rag.jsonl",
    }
    for name in known - set(files):
        (folder / name).unlink(missing_ok=True)
