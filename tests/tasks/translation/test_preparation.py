"""What happens to a text before and after the model: capitals, accents, numbers, names, pieces."""

import random
import time

import pytest

from elman.tasks.translation import french_english
from elman.tasks.translation.augmentation import augmented
from elman.tasks.translation.options import TranslationOptions
from elman.tasks.translation.parallel import pair_rows, tidy, tidy_source
from elman.tasks.translation.placeholders import PLACEHOLDER, restored
from elman.tasks.translation.preparation import prepare
from elman.tasks.translation.sentences import pieces
from elman.tasks.translation.words import KnownWords

PAIRS = [
    ("Je suis très content de vous voir.", "I am very happy to see you."),
    ("Où est le livre de Marie ?", "Where is Mary's book?"),
    ("Le train est ici à l'hôtel.", "The train is here at the hotel."),
    ("Hier, Mme Blanc est partie à Paris.", "Yesterday, Mrs. Blanc left for Paris."),
] * 5
FRENCH = TranslationOptions(lowercase=True, copied="french_english")


@pytest.fixture(scope="module")
def words():
    return KnownWords.of([(tidy_source(source), target) for source, target in PAIRS])


def test_a_text_in_capitals_is_read_like_the_text_in_small_letters(words):
    small = prepare("je suis très content de vous voir.", FRENCH, words)
    capitals = prepare("JE SUIS TRÈS CONTENT DE VOUS VOIR.", FRENCH, words)
    assert capitals.text == small.text
    assert (capitals.capitals, small.capitals) == (True, False)


def test_missing_accents_are_restored_where_no_other_word_is_meant(words):
    assert prepare("je suis tres content", FRENCH, words).text == "je suis très content"
    assert prepare("ou est l'hotel?", FRENCH, words).text == "où est l' hôtel?"


def test_a_rare_word_with_an_accent_is_not_taken_for_a_slip():
    pairs = [("je ne suis pas né ici", "I was not born here")] + [("je ne dis ca", "I")] * 40
    words = KnownWords.of([*pairs, *[("ça", "that")] * 800])
    assert words.spelled("né") == "né"
    assert words.spelled("ca") == "ça"


def test_normalisation_is_the_same_for_all_spellings(words):
    spellings = ("«\u00a0Je suis ici\u202f»", "“Je suis ici”", '"Je suis ici"', "<<Je suis ici>>")
    assert len({prepare(each, FRENCH, words).text for each in spellings}) == 1
    assert prepare("Je\x07 suis", FRENCH, words).text == "je suis", "no text has placeholders"
    assert tidy("a\x01\x1bb\x7f") == "ab"


@pytest.mark.parametrize(
    ("french", "english"),
    [
        ("1 250 euros", "1,250 euros"), ("1\u202f250,50 €", "1,250.50 euros"), ("3,5 litres", "3.5 liters"),
        ("12 %", "12%"), ("980 euros", "980 euros"), ("en 1861", "1861"), ("18h45", "18:45"), ("18 h", "18:00"),
        ("à 19 heures 30", "19:30"), ("le 3 mars 1861", "March 3, 1861"), ("1er mai", "May 1"),
        ("le 2e", "2nd"), ("le 11ème", "11th"), ("06 12 34 56 78", "06 12 34 56 78"),
        ("100.000 yens", "100,000 yen"), ("3/4/2021", "3/4/2021"), ("14:30", "14:30"),
        ("écris à ab@c.fr", "ab@c.fr"),
    ],
)  # fmt: skip
def test_numbers_dates_and_times_are_copied_in_english_forms(words, french, english):
    assert list(prepare(french, FRENCH, words).answers.values()) == [english]


def test_numbers_of_other_languages_are_copied_as_written(words):
    options = TranslationOptions(copied="as_written")
    assert list(prepare("1,5 kg um 14:30", options, words).answers.values()) == ["1,5", "14:30"]


def test_names_that_the_training_lacks_are_copied_and_their_titles_are_not(words):
    for text, copied in (
        ("Mme Lefèvre est à Grenoble.", ["Mrs. Lefèvre", "Grenoble"]),
        ("Jean-Paul Morvan est ici.", ["Jean-Paul Morvan"]),
        ("Où est le livre de Marie ?", []),
        ("JE SUIS À GRENOBLE.", ["GRENOBLE"]),
        ("Asseyez-vous ici.", []),
        ("Le docteur Okoro et M. Blanc sont ici.", ["Dr. Okoro"]),
        ("Je suis à l'Hotel.", []),
    ):
        assert list(prepare(text, FRENCH, words).answers.values()) == copied, text


def test_a_training_pair_has_the_same_placeholders_on_both_sides(words):
    chance = random.Random(0)
    seen = set()
    for source, target in [
        ("Il est né le 3 mars 1861.", "He was born on March 3rd, 1861."),
        ("Le train est à 18h45.", "The train is at 6:45 p.m."),
        ("Le livre est à 1 250 euros.", "The book is 1250 euros."),
        ("Anna Bell est ici.", "Anna Bell is here."),
        ("Je suis à Paris demain.", "I am in Paris tomorrow."),
        ("Deux ou 3.", "Two or three."),
    ] * 20:
        ours, theirs = augmented(source, target, FRENCH, words, chance)
        assert sorted(PLACEHOLDER.findall(ours)) == sorted(PLACEHOLDER.findall(theirs))
        seen |= set(PLACEHOLDER.findall(ours))
    assert len(seen) > 10, "all placeholders of a kind are used in turn"


def test_a_careless_source_loses_its_accents_and_keeps_its_words(words):
    options = TranslationOptions(careless=1.0)
    found = {augmented("Là-bas.", "There.", options, words, random.Random(k)) for k in range(9)}
    assert found == {("La-bas.", "There."), ("La-bas", "There")}


def test_what_a_placeholder_stands_for_is_put_back_with_its_surroundings():
    assert restored('"\x01," said \x02\'s.', {"\x01": "Go", "\x02": "Ann"}) == '"Go," said Ann\'s.'


def test_long_texts_are_cut_at_sentences_and_clauses_without_losing_a_word():
    text = "M. Blanc est venu hier, mais il n'a rien dit. " * 3 + "il dort, " * 60 + "c'est tout."
    found = pieces(text, french_english.TITLES)
    assert " ".join(" ".join(found).split()) == " ".join(text.split())
    assert max(len(piece.split()) for piece in found) <= 40
    assert not any(piece.endswith("M.") for piece in found)
    assert pieces("一二。三四。" * 9)


def test_a_large_table_with_stray_quotes_is_read_in_linear_time(tmp_path):
    path = tmp_path / "a.tsv"
    lines = [f'Il a dit "oui" {k}, et “non”.\tHe said ""yes"" {k}.' for k in range(40_000)]
    path.write_text("\n".join(lines))
    begun = time.process_time()
    assert len(pair_rows(path)) > 40_000 - 1
    assert time.process_time() - begun < 8  # it took minutes
