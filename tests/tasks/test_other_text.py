"""Texts with accents, and in other languages, for tasks on words."""

import json

import pytest

import elman
from elman.data import Vocabulary
from elman.data.vectors import spellings
from elman.data.words import without_accents
from elman.tasks import TASKS
from elman.tasks.word_model import TextSymbols

FRENCH = "Ce film est magnifique et je l'ai vu deux fois."
NOTE = "This looks like French, but the model knows English: do not rely on the answer."


def test_letters_lose_accents_but_scripts_keep_their_signs():
    assert (
        without_accents("Zoë Łódź Søren Þór Straße Œuvre") == "Zoe Lodz Soren Thor Strasse OEuvre"
    )
    for text in ("हिन्दी", "ไทย", "עִבְרִית", "한국어", "plain"):
        assert without_accents(text) == text


def test_vectors_are_looked_up_as_written_first_and_without_accents_last():
    assert spellings("José") == ("José", "josé", "Jose", "jose")
    assert spellings("jose") == ("jose",)


def test_an_unknown_word_or_letter_is_read_without_its_accents():
    symbols = TextSymbols(
        Vocabulary(["jose", "naïve", "naive"]), ("a",), True, 4, Vocabulary([*"oé"])
    )
    assert symbols.encode(["José", "Jose\u0301", "naïve", "naive", "rosé"]) == [2, 2, 3, 4, 1]
    # é is known, ö is not, but o is
    assert symbols.encode_characters("öéx") == [2, 3, 1]


def test_names_with_accents_are_found_as_well_as_without():
    model = elman.load("ner")
    for text in (
        "Jürgen Klopp met Zoë Saldaña in Łódź .",
        "Jos\u0065\u0301 lives in M\u00fcnchen .",
    ):
        [there], [plain] = model([text]), model([without_accents(text)])
        names = [(without_accents(name.text), name.type) for name in there.names]
        assert [(name.text, name.type) for name in plain.names] == names
        assert all(text[name.start : name.end] == name.text for name in there.names)


@pytest.mark.parametrize("name", ["sentiment", "ner"])
def test_another_language_is_noted_beside_the_answer(name, command):
    task, model = TASKS[name], elman.load(name)
    french, english = model([FRENCH, "I liked the film a lot."])
    assert (task.note(french), task.note(english)) == (NOTE, "")
    status, out, _ = command("predict", name, FRENCH, "I liked it.", "--json")
    assert status == 0
    first, second = json.loads(out)["predictions"]
    assert first["note"] == NOTE
    assert "note" not in second
    status, out, err = command("predict", name, "I liked it.", FRENCH, FRENCH)
    assert status == 0
    assert NOTE not in out
    assert err.count("This looks like French") == 1
    assert f"input 2 and 1 more: {NOTE}" in err
    status, _, err = command("predict", name, FRENCH)
    assert err.strip() == f"elman: {NOTE}"
