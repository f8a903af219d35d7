import pytest

from elman.errors import DataError
from elman.tasks.speech.transcripts import Pieces, build_pieces, plain, steps_needed

TEXTS = ["she sells sea shells", "by the sea shore", "the shells she sells are sea shells"] * 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Don't stop!", "don't stop"),
        ("  'Tis so -- really. ", "tis so really"),
        ("Ça va, l’été?", "ça va l'été"),
        ("mother-in-law’s", "mother in law's"),
        ("...", ""),
    ],
)
def test_a_transcript_is_small_letters_and_apostrophes(text, said):
    assert plain(text) == said


@pytest.mark.parametrize("units", ["characters", "subwords"])
def test_pieces_write_what_they_read(units):
    pieces = build_pieces(TEXTS, units, 40)
    for text in TEXTS:
        symbols = pieces.encode(text)
        assert 0 not in symbols
        assert max(symbols) < len(pieces)
        assert pieces.decode(symbols) == text


def test_subwords_are_fewer_than_characters():
    characters, subwords = [build_pieces(TEXTS, u, 60) for u in ("characters", "subwords")]
    assert len(subwords.encode(TEXTS[0])) < len(characters.encode(TEXTS[0])) / 2


def test_an_unknown_character_is_left_out_and_doubled_symbols_need_a_step_more():
    pieces = Pieces.characters(["abc"])
    assert pieces.decode(pieces.encode("aßc")) == "ac"
    assert steps_needed(pieces.encode("abba")) == 5


def test_transcripts_that_say_nothing_are_refused():
    with pytest.raises(DataError, match="every transcript is empty"):
        build_pieces(["", " "], "characters", 10)
