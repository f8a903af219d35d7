import subprocess
import sys

import pytest

from elman.data.subwords import END, PAD, START, UNK, SubWords
from elman.errors import OptionError, RunError

TEXTS = ["Where is the cat?", "The cat isn't here.", "Is the house big?", "It's the cat's."] * 3


def test_any_text_comes_back_as_it_was():
    pieces = SubWords.learn(TEXTS, size=320)
    for text in (*TEXTS, "Zbigniew", "naïve — 字 ☃ 🙂", "don't", "a\u2028b", "1984", ""):
        indices = pieces.encode(text)
        assert pieces.decode(indices) == text
        assert not {PAD, UNK, START, END} & set(indices)
        assert max(indices, default=0) < len(pieces) <= 320
    assert pieces.decode([START, *pieces.encode("cat"), END]) == "cat"


def test_the_same_texts_give_the_same_sub_words_also_after_saving():
    first = SubWords.learn(TEXTS, size=310).to_json()
    # another process has other hashes
    program = (
        "from elman.data.subwords import SubWords\n"
        f"print(SubWords.learn({TEXTS!r}, size=310).to_json())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == first
    read = SubWords.from_json(first)
    assert read.to_json() == first
    assert read.encode("the cat") == SubWords.learn(TEXTS, size=310).encode("the cat")


def test_frequent_words_are_one_piece_wherever_they_stand():
    pieces = SubWords.learn(TEXTS, size=400)
    [cat] = pieces.encode("cat")
    assert cat in pieces.encode("the cat?")
    assert pieces.pieces(pieces.encode("the cat")) == ["the", "cat"]


def test_what_is_not_sub_words_is_refused():
    for text in ("", "{}", "[1]", '{"model": 3}'):
        with pytest.raises(RunError, match="the subwords cannot be read"):
            SubWords.from_json(text)
    with pytest.raises(OptionError, match="size is 20"):
        SubWords.learn(TEXTS, size=20)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(OptionError, match=r"tokenizers.*elman\[translation\]"):
        SubWords.learn(TEXTS, size=300)
