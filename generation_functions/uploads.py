"""Texts that people hand over, put where a run reads them.

take_text(Path("raw_text_input"), "Salt, by A. Reed.txt", data)      # Taken("Salt, by A. Reed.txt", "taken", 4031)
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import text
from .errors import ConfigError


@dataclass(frozen=True, slots=True)
class Taken:
    """A text that came in. `how` is "taken", "replaced", or "there already" for one that was there as it is."""

    name: str
    how: str
    characters: int


def take_text(folder: Path, name: str, data: bytes, *, replace: bool = False) -> Taken:
    """Put a text into the folder if a run can read it. Raises ConfigError with the reason why not."""
    name = safe_name(name)
    file, temporary = folder / name, folder / f".{name}.part"
    if file.is_dir():
        raise ConfigError(f"{name} was not taken: there is a folder of that name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        characters = len(text.read(name, temporary))  # what the run itself will do with it
        if file.exists() and file.read_bytes() == data:
            return Taken(name, "there already", characters)
        if (was := file.exists()) and not replace:
            raise ConfigError(f"{name} was not taken: there is another text of that name, which stays")
        os.replace(temporary, file)
        return Taken(name, "replaced" if was else "taken", characters)
    except text.Unreadable as unreadable:
        raise ConfigError(f"{name} was not taken: {unreadable}") from None
    except OSError as error:
        raise ConfigError(f"{name} was not taken: {folder} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """The file's name without folders and characters that act on a screen or a shell. Raises ConfigError."""
    last = re.split(r"[/\\]", name)[-1]
    last = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip()
    if not last or last.startswith("."):
        raise ConfigError(f"{name[:80]!r} was not taken: it names no file that would be read")
    if len(last.encode("utf-8")) > 200:
        raise ConfigError(f"{last[:80]!r}... was not taken: its name is too long")
    return last
