"""config.yaml as people edit it: what may be shown of it, what a change looks like, and putting it into the file.

    after = changed(before, {"SYSTEM.MODE": "sample"})
    difference(before, after)          # ["-  MODE: local   # or api", "+  MODE: sample  # or api"]
    save(file, before, after)          # refused when the file does not say `before` any more

It knows no widgets.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any

from . import config
from .config import SETTINGS, Secret
from .config_text import FILE, changed
from .errors import ConfigError

REFERENCE = re.compile(r"\$\{\w+\}")  # "${TOGETHER_KEY}"
HIDDEN = "***"


def is_reference(value: Any) -> bool:
    """Whether it names a variable of the environment."""
    return isinstance(value, str) and REFERENCE.search(value) is not None


def state_of_key(value: Any) -> str:
    """What may be shown of a key: "set", "not set", or the ${NAME} that it is read from."""
    if isinstance(value, str) and REFERENCE.fullmatch(value.strip()):
        return value.strip()
    return "set" if value else "not set"


def difference(old: str, new: str) -> list[str]:
    """The lines that differ, those that go after "-", those that come after "+". No key is in them."""
    before, after = (source.splitlines() for source in _without_keys(old, new))
    lines: list[str] = []
    for same, *(a, b, c, d) in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        goes, comes = before[a:b], after[c:d]
        if same == "equal":
            continue
        if len(goes) == len(comes):  # each line under the one that it takes the place of
            lines += [
                line for one, other in zip(goes, comes, strict=True) for line in (f"-{one}", f"+{other}")
            ]
        else:
            lines += [f"-{line}" for line in goes] + [f"+{line}" for line in comes]
    return lines


def _without_keys(old: str, new: str) -> tuple[str, str]:
    values = config.written(old, FILE), config.written(new, FILE)
    for name in [setting.name for setting in SETTINGS if setting.kind is Secret]:
        before, after = (own.get(name) for own in values)
        marks = [HIDDEN, HIDDEN if before == after else f"{HIDDEN} (another)"]
        if before and state_of_key(before) == "set":
            old = changed(old, {name: marks[0]})
        if after and state_of_key(after) == "set":
            new = changed(new, {name: marks[1]})
    return old, new


def is_writable(file: Path) -> bool:
    """Whether the file can be replaced."""
    real = file.resolve()
    return os.access(real, os.W_OK) and os.access(real.parent, os.W_OK)


def save(file: Path, before: str, after: str) -> None:
    """Put `after` in the place of `before`, whole or not at all.

    Raises ConfigError when the file does not say `before` any more, or `after` does not load.
    """
    config.parsed(after, file)
    if config.read(file) != before:
        raise ConfigError(f"{file.name} has been changed since; load it again")
    real = file.resolve()  # a link stays one
    temporary = real.with_name(f".{real.name}.part")
    mode = real.stat().st_mode & 0o777  # a key may be in it: who could not read it must not now
    try:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(opened, "wb") as stream:
            os.fchmod(opened, mode)
            stream.write(after.encode("utf-8"))
            stream.flush()
            os.fsync(opened)
        os.replace(temporary, real)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
