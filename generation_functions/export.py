"""Files to take home: the readable state of each step, what failed, and the datasets.

`readable` writes what a step made as JSON lines, one item a line, that can be edited and taken back as acts.
`datasets` and `calls` write export/: each file whole or not at all, and none of them empty. Rows are written one by
one, as all of them may be more than memory holds. It knows records, not engines.

    {"conversations": [{"from": "system", "value": "..."}, {"from": "human", "value": "Why is ...?"},
                       {"from": "gpt", "value": "It holds too little water ..."}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from .batch import Batch, Files, plain
from .config import Config
from .conversations import ASSISTANT, USER
from .errors import ConfigError, RunError
from .files import line, mark, write_once, write_together, write_whole
from .items import Item, Records, edited
from .overlay import Overlay
from .records import Cast, Chunk, Conversation, Group, Pair, Status, Turn, content_key
from .store import Answered, Store

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
LINES = 3  # the form of all lines; with another number every file is written anew
APART = ".edited"  # in the name of a file that was changed by hand and not taken back
FAILED = "failed.jsonl"
CALLS, PREFERENCES = "calls.jsonl", "calls_preferences.jsonl"
ALWAYS = (
    *("simplified_data.jsonl", "openai_messages.jsonl", "plain_qa.jsonl", "alpaca.jsonl"),
    "pretraining.jsonl",
)
SOMETIMES = (
    *("master_list.jsonl", "processed_masterlist.json"),
    *("simplified_data_rag.jsonl", "simplified_data_no_rag.jsonl"),
)
SETTINGS = (  # what else changes a dataset
    *("EXPORT.GREETING", "SYSTEM.ASSISTANT_MODE"),
    *("SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", "SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"),
)

Row = dict[str, Any]


def readable(folder: Path, batch: Batch, store: Store | None = None) -> Path:
    """The batch as JSON lines: `id` is the record's key, `status` and `reason` its item's; `stood` tells a line that a
    person changed from one that changed in the run since. Gives the file.

    A `store` remembers what the file was written from, so that it is left alone when nothing has changed.
    """
    file = folder / FILES[batch.name]
    rows = (row for item in batch.items for row in rows_of(item, batch.overlay))
    stamp = batch.stamp and content_key(LINES, batch.stamp)
    write_once(store, file.name, stamp, [file], lambda: write_whole(file, map(line, rows)))
    return file


def kept_apart(folder: Path, batch: Batch, store: Store) -> Path | None:
    """Where a readable file now lies that a person changed and did not take back, as it is to be written anew."""
    file = folder / FILES[batch.name]
    known = store.state(file.name).split(" ")
    if len(known) < 2 or not file.is_file() or mark(file) in (known[1], store.state(f"took {file.name}")):
        return None
    apart = file.with_name(f"{file.stem}{APART}{file.suffix}")
    file.replace(apart)
    return apart


def took(file: Path, store: Store) -> None:
    """The file was taken back as it is, so that it may be written anew."""
    store.set_state(f"took {file.name}", mark(file))


def rows_of(item: Item, overlay: Overlay) -> Iterator[Row]:
    """A line for each of an item's records, or for its input where nothing was made of it."""
    for record in item.outcome.records or (item.input,):
        status, fields = status_of(record, item, overlay), fields_of(edited(record, overlay))
        known = {"id": record.key, "status": status, "stood": stood(status, editable(record), fields)}
        yield {**known, "reason": item.outcome.reason, **fields, **_verdicts(item)}


def editable(record: Any) -> tuple[str, ...]:
    """The fields of a record that a person may edit."""
    match record:
        case Pair():
            return ("question", "answer")
        case Cast():
            return ("card", "scenario", "plan")
        case Conversation(turns=turns):
            return tuple(f"turn {n}" for n in range(1, len(turns) + 1))
    return ()


def stood(status: Any, names: Iterable[str], fields: Mapping[str, Any]) -> str:
    """A key of all that a person may change of a record: its status and those fields, as files hold them."""
    own = flat(fields)
    return content_key(str(status), [as_written(str(own.get(name, ""))) for name in names])


def as_written(text: str) -> str:
    """The text as it comes back from a file that some program wrote anew."""
    lines = text.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode(errors="replace").decode()


def flat(fields: Mapping[str, Any]) -> Row:
    """The fields of a line, a conversation's turns among them. Raises ConfigError where these are no turns."""
    turns = fields.get("turns", {})
    if not isinstance(turns, dict):
        raise ConfigError('turns must look like {"turn 1": "...", "turn 2": "..."}')
    return {**{name: value for name, value in fields.items() if name != "turns"}, **turns}


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


def failures(folder: Path, batches: Iterable[Batch]) -> Path | None:
    """Write failed.jsonl, the items of all steps that failed: step, key and cause. None when there are none.

    Steps of which no batch is given keep the lines that the file has of them.
    """
    file = folder / FAILED
    given = {batch.name: batch for batch in batches}
    before = list(_lines_by_step(file)) if file.is_file() else []
    found = (
        (FAILED, text)
        for step in FILES
        for text in (_failed(given[step]) if step in given else [text for of, text in before if of == step])
    )
    write_together(folder, [FAILED], found)
    return file if file.is_file() else None


def _lines_by_step(file: Path) -> Iterator[tuple[str, str]]:
    """What can be read of it; the rest is written again when its step is run."""
    for text in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            yield str(json.loads(text)["step"]), text + "\n"
        except (ValueError, TypeError, KeyError):
            continue


def _failed(batch: Batch) -> Iterator[str]:
    for item in batch.of_status("failed"):
        yield line({"step": batch.name, "key": item.input.key, "cause": item.outcome.reason})


# Datasets


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation as datasets have it: no greeting, the asking side first, the answering side last."""

    system: str
    turns: tuple[Turn, ...]
    asker: str
    pairs: tuple[Pair, ...]

    @property
    def chunk(self) -> Chunk:
        return self.pairs[0].chunk

    def sharegpt(self, system: str | None = None) -> Row:
        first = [{"from": "system", "value": self.system if system is None else system}]
        said = [{"from": "human" if t.speaker == self.asker else "gpt", "value": t.text} for t in self.turns]
        return {"conversations": first + said, "metadata": _metadata(self.pairs)}

    def messages(self) -> Row:
        first = [{"role": "system", "content": self.system}]
        said = [
            {"role": "user" if t.speaker == self.asker else "assistant", "content": t.text}
            for t in self.turns
        ]
        return {"messages": first + said, "metadata": _metadata(self.pairs)}


def datasets(
    folder: Path,
    config: Config,
    chunks: Sequence[Chunk],
    pairs: Sequence[Pair],
    made: Sequence[Conversation],
    store: Store | None = None,
) -> Files:
    """Write every dataset into `folder`; gives the files by their name, the one that trainers want first.

    `chunks` are those of whole sources: joined again they are the texts without licences and broken lines.
    `made` may be empty only where conversations are skipped: then each pair is a dialogue of its own. The
    caller explains an empty dataset before this is called. A `store` remembers what they were written from.
    """
    names = (*ALWAYS, *SOMETIMES)
    sources = (chunks, pairs, made)
    stamps = [records.stamp for records in sources if isinstance(records, Records) and records.stamp]
    stamp = content_key(LINES, stamps, config.fingerprint(SETTINGS)) if len(stamps) == len(sources) else ""

    def write() -> None:
        talks = _of_conversations(made, config) if made else _of_lone_pairs(pairs, config)
        write_together(folder, names, chain(talks, _of_pairs(pairs), _of_texts(chunks)))

    write_once(store, "datasets", stamp, [folder / name for name in names], write)
    return Files({name: folder / name for name in names if (folder / name).is_file()})


Part = tuple[str, str]  # the name of a file, and what comes next in it


def _of_conversations(made: Sequence[Conversation], config: Config) -> Iterator[Part]:
    for number, conversation in enumerate(made):
        yield from _of_dialogue(_dialogue(conversation, config))
        if config["SYSTEM.ASSISTANT_MODE"]:
            yield from _with_and_without_text(_dialogue(conversation, config), config)
        row = _master(conversation)
        yield "master_list.jsonl", line({**row, "conversation": "\n".join(row["conversation"])})
        element = json.dumps(row, ensure_ascii=False, indent=1).replace("\n", "\n ")
        yield "processed_masterlist.json", f"{',' if number else '['}\n {element}"
    yield "processed_masterlist.json", "\n]\n"


def _of_lone_pairs(pairs: Iterable[Pair], config: Config) -> Iterator[Part]:
    for pair in pairs:
        yield from _of_dialogue(_lone(pair, config))
        yield from _with_and_without_text(_lone(pair, config), config)


def _of_dialogue(talk: Dialogue) -> Iterator[Part]:
    yield "simplified_data.jsonl", line(talk.sharegpt())
    yield "openai_messages.jsonl", line(talk.messages())


def _with_and_without_text(talk: Dialogue, config: Config) -> Iterator[Part]:
    rag = config["SYSTEM.FINAL_ASSISTANT_PROMPT_RAG"].replace("{data}", talk.chunk.text)
    yield "simplified_data_rag.jsonl", line(talk.sharegpt(rag))
    yield "simplified_data_no_rag.jsonl", line(talk.sharegpt(config["SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"]))


def _of_pairs(pairs: Iterable[Pair]) -> Iterator[Part]:
    for pair in pairs:
        yield "plain_qa.jsonl", line(_plain(pair))
        row = {
            "instruction": pair.question,
            "input": "",
            "output": pair.answer,
            "metadata": _metadata([pair]),
        }
        yield "alpaca.jsonl", line(row)


def _of_texts(chunks: Iterable[Chunk]) -> Iterator[Part]:
    """The text of each source, whose chunks stand together."""
    for _, own in groupby(chunks, lambda chunk: chunk.source):
        yield "pretraining.jsonl", line({"text": "\n\n".join(chunk.text for chunk in own)})


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
    return Dialogue(system, turns, cast.asker, cast.group.pairs)


def _lone(pair: Pair, config: Config) -> Dialogue:
    turns = (Turn(USER, pair.question), Turn(ASSISTANT, pair.answer))
    return Dialogue(config["SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"], turns, USER, (pair,))


def _plain(pair: Pair) -> Row:
    fields = fields_of(pair)
    row = {name: fields[name] for name in ("question", "answer", "source", "start", "end", "quotation")}
    return {**row, "metadata": _metadata([pair])}


def _metadata(pairs: Sequence[Pair]) -> Row:
    """What proves the answers: each sentence with its offsets in the source. Trainers read the other fields alone."""
    chunk = pairs[0].chunk
    named = {number for pair in pairs for number in pair.evidence}
    sentences = [sentence for number, sentence in enumerate(chunk.sentences, 1) if number in named]
    proof = [{"start": s.start, "end": s.end, "quotation": s.text} for s in sentences]
    proof = proof or [{"start": chunk.start, "end": chunk.end, "quotation": ""}]  # a list of none has no type
    return {"source": chunk.source, "start": chunk.start, "end": chunk.end, "evidence": proof}


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
    if len(batches[-1]):
        return None
    step = next(batch for batch in batches if not len(batch))
    lost = list(islice((item for item in step.items if not item.passing(step.overlay)), 3))
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


# The calls as a dataset


def calls(folder: Path, *stores: Store) -> Files:
    """Write every usable answer as a chat row, and each unusable one beside the usable one that came after it.

    Gives the files by their name; one without rows is not there. One store remembers what they were written from;
    several, those of a run's shards, do not.
    """
    chats = ((CALLS, line(_chat(call))) for store in stores for call in store.answered())
    preferences = (
        (PREFERENCES, line(_preference(*found))) for store in stores for found in store.preferred()
    )
    names = (CALLS, PREFERENCES)
    files = [folder / name for name in names]
    only = stores[0] if len(stores) == 1 else None
    stamp = content_key(LINES, only.last_call) if only else ""
    write_once(only, "calls", stamp, files, lambda: write_together(folder, names, chain(chats, preferences)))
    return Files({file.name: file for file in files if file.is_file()})


def _chat(call: Answered) -> Row:
    return {"messages": [*_asked(call), _said(call.text)], **_about(call)}


def _preference(call: Answered, problem: str, better: str) -> Row:
    """In the conversational form of TRL's preference datasets."""
    chosen, rejected = [_said(better)], [_said(call.text)]
    return {"prompt": _asked(call), "chosen": chosen, "rejected": rejected, "reason": problem, **_about(call)}


def _asked(call: Answered) -> list[Row]:
    messages = [*call.shared, ["user", call.question]]
    return [{"role": role, "content": content} for role, content in messages]


def _said(text: str) -> Row:
    return {"role": "assistant", "content": text}


def _about(call: Answered) -> Row:
    return {"stage": call.stage, "model": call.model, "chunk": call.origin.chunk, "item": call.origin.item}
