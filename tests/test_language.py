"""The language of a text is told where there is enough of it, and doubted nowhere else."""

import pytest

from generation_functions.checks import language

TEXTS = {
    "en": "The pumps empty the dock in four hours, and the gate closes by its own weight.",
    "de": "Die Pumpen leeren das Dock in vier Stunden, und das Tor schließt sich durch sein Gewicht.",
    "fr": "Les pompes vident le bassin en quatre heures, et la porte se ferme par son propre poids.",
    "es": "Las bombas vacían el dique en cuatro horas, y la compuerta se cierra por su propio peso.",
    "ru": "Насосы осушают док за четыре часа, и ворота закрываются под собственной тяжестью.",
    "ja": "ポンプは四時間でドックを空にし、門は自らの重みで閉まる。",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_is_enough_to_tell_its_language(code: str) -> None:
    assert language.of(TEXTS[code]) == code


@pytest.mark.parametrize("wanted", ["en", "de"])
@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_in_another_language_is_clearly_so(code: str, wanted: str) -> None:
    assert language.clearly_other(TEXTS[code], wanted) == (None if code == wanted else code)


@pytest.mark.parametrize("text", ["", "1869.", "H2O", "Karin Holt", "fsync()", "No.", "Lysvik, 12 km"])
def test_a_few_letters_are_in_no_other_language(text: str) -> None:
    assert language.clearly_other(text, "en") is None
