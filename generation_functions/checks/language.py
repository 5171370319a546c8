"""Which language a text is in, and which it clearly is not.

    of("Salz zieht das Wasser heraus.")                  # "de"
    clearly_other("La sal extrae el agua.", "en")        # "es"
    clearly_other("fsync() flushes.", "en")              # None: too little to tell

Codes are those of ISO 639-1. py3langid tells, which knows 140 languages and needs no network.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

ENOUGH = 0.5  # probability from which a language is taken as found
HARDLY = 0.05  # below it the language asked for is ruled out
ENGLISHES = ("pcm", "sco", "jam")  # "September and October." may be taken for any of them
READ = 2000  # characters of a text that are looked at


@lru_cache(maxsize=4096)
def of(text: str) -> str:
    """The likeliest language; "" where none is."""
    [(found, share), *_] = _identifier().rank(text[:READ])
    return str(found) if share >= ENOUGH else ""


@lru_cache(maxsize=4096)
def clearly_other(text: str, wanted: str) -> str | None:
    """The language of a text that is not the one wanted, where there is no doubt."""
    ranked = _identifier().rank(text[:READ])
    found, share = ranked[0]
    if (
        found == wanted
        or (wanted == "en" and found in ENGLISHES)
        or share < ENOUGH
        or dict(ranked).get(wanted, 0) > HARDLY
    ):
        return None
    return str(found)


@cache
def _identifier() -> Any:
    # Imported here because its table takes 0.9 s to load and most commands ask for no language.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
