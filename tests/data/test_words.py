"""Words are cut as the Penn Treebank cuts them, and nothing of a text is lost."""

import itertools
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elman.data.words import composed, split_words, word_spans

GLOVE = Path(__file__).resolve().parents[2].parent / "shared/data/text/glove6b_50d_top30k_f16.npz"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # the demo
        (
            "Yesterday, Harry Potter met Hermione Granger.",
            "Yesterday|,|Harry|Potter|met|Hermione|Granger|.",
        ),
        (
            "There is nothing to like in this movie.",
            "There|is|nothing|to|like|in|this|movie|.",
        ),
        # clitics
        ("I don't, can't, WON'T!", "I|do|n't|,|ca|n't|,|WO|N'T|!"),
        ("it's she'd we're they've I'm you'll", "it|'s|she|'d|we|'re|they|'ve|I|'m|you|'ll"),
        ("shouldn't've", "should|n't|'ve"),
        (
            "the century's J.R.R. Tolkien's dogs' tails",
            "the|century|'s|J.R.R.|Tolkien|'s|dogs|'|tails",
        ),
        ("doesn\u2019t \u2018quoted\u2019", "does|n't|\u2018|quoted|'"),
        (
            "O'Brien o'clock rock'n'roll get 'em in the '90s",
            "O'Brien|o'clock|rock'n'roll|get|'em|in|the|'90s",
        ),
        # punctuation
        ("Wow!!! (Really?!) ... well-known--yes", "Wow|!|!|!|(|Really|?|!|)|...|well-known|--|yes"),
        ("``quoted'' \u201cso\u201d \u2013 \u2014", "``|quoted|''|\u201c|so|\u201d|\u2013|\u2014"),
        ("end.Next and/or A&B, AT&T", "end|.|Next|and|/|or|A&B|,|AT&T"),
        ("snake_case _so_ __ **b**", "snake_case|_|so|_|__|**|b|**"),
        # abbreviations
        (
            "Mr. J. K. Rowling, Dr. Who, U.S.-led e.g. 5 p.m.",
            "Mr.|J.|K.|Rowling|,|Dr.|Who|,|U.S.-led|e.g.|5|p.m.",
        ),
        ("So did I. Then it ended.", "So|did|I|.|Then|it|ended|."),
        # numbers
        (
            "$1,000.50 on 9/11/2001 at 10:30, .5% 3.5/10",
            "$|1,000.50|on|9/11/2001|at|10:30|,|.5|%|3.5/10",
        ),
        ("1st 1990s 6-3 202-547-4512 1.5bn in 2001.", "1st|1990s|6-3|202-547-4512|1.5bn|in|2001|."),
        # the net
        (
            "see http://t.co/aB?x=1, www.foo.com/bar). example.com me.too@ex-am.co.uk",
            "see|http://t.co/aB?x=1|,|www.foo.com/bar|)|.|example.com|me.too@ex-am.co.uk",
        ),
        ("@ada_l: #MH17 #caf\u00e9, C# @ 5", "@ada_l|:|#MH17|#caf\u00e9|,|C|#|@|5"),
        (":) :-( great:) ;D <3 :'( x:(a)", ":)|:-(|great|:)|;D|<3|:'(|x|:|(|a|)"),
        ("Fine.<br /><br>Tom &amp; I &#39;", "Fine|.|Tom|&amp;|I|&#39;"),
        # pictures
        ("👍🏽ok ❤\ufe0f", "👍🏽|ok|❤\ufe0f"),
        ("👨\u200d👩\u200d👧😂", "👨\u200d👩\u200d👧|😂"),
        ("🇫🇷🇩🇪 1\ufe0f\u20e3", "🇫🇷|🇩🇪|1\ufe0f\u20e3"),
        # other scripts
        ("Привет, мир!", "Привет|,|мир|!"),
        ("नमस्ते दुनिया।", "नमस्ते|दुनिया|।"),
        ("مرحبا بك", "مرحبا|بك"),
        ("你好。ab世", "你|好|。|ab|世"),
        ("cafe\u0301 naïve", "caf\u00e9|naïve"),
        ("zero\u200bwidth \ufeffmark", "zero|width|mark"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_a_text_is_split_into_these_words(text: str, words: str) -> None:
    assert split_words(text) == (words.split("|") if words else [])


@pytest.mark.parametrize(
    "sentence",
    [
        "it 's so laddish and juvenile , only teenage boys could possibly find it funny .",
        "the rock is destined to be the 21st century 's \" conan \" and ca n't be , j . r . r .",
        "a movie ( with 3 1/2 stars ) : half-baked -- but , um ... fun ? ! ; :-) http://t.co/x",
        "@ada #ner 's co-writer / director `` quoted '' 10:30 p.m. U.S. 1,000 % & $ 5 '90s _",
    ],
)
def test_a_text_that_is_already_split_stays_as_it_is(sentence: str) -> None:
    assert split_words(sentence) == sentence.split(" ")


texts = st.text() | st.text(alphabet="aB1 .,:'-_@#&/<br>;()\u2019\u200d\u0301\U0001f44d\u4e16\n")
NO_WORD = re.compile(r"(?:\s|[\u200b\u2060\ufeff]|(?i:<br\s{0,9}/?>))*")


@given(texts)
@example("a&b<br/>c")
@example("U.S.-")
def test_nothing_but_blanks_and_line_breaks_is_left_out(text: str) -> None:
    end = 0
    for start, stop in word_spans(text):
        assert NO_WORD.fullmatch(text[end:start])
        assert start < stop
        end = stop
    assert NO_WORD.fullmatch(text[end:])


@given(texts)
@example("A\u0300")
def test_spans_show_where_the_words_are(text: str) -> None:
    words = [composed(text[a:b]).replace("\u2019", "'") for a, b in word_spans(text)]
    assert split_words(text) == words
    assert all(word and not any(c.isspace() for c in word) for word in words)


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "a.", "a'", "n't", "a@", "@a.", "a-", "a.b-", "1,", "www.", "<br ", ":", "#", "&a"),
        *("_", "\u200d", "\U0001f44d\u200d", "\u0301", "http://", "\u4e16", " ", "it's "),
    ],
)
def test_time_grows_with_the_length_only(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        start = time.process_time()
        split_words(text)
        return time.process_time() - start

    seconds(1000)  # compiles the pattern
    # quadratic time would be many minutes; linear time is about 0.1 s
    assert seconds(200_000) < 60


@pytest.mark.data
@pytest.mark.skipif(not GLOVE.exists(), reason="the vectors of ../shared/data are not here")
def test_words_meet_their_glove_vectors() -> None:
    from elman.data.vectors import read_vectors

    known = set(read_vectors(GLOVE).words)
    text = (
        "Mr. O'Brien can't say it's 9/11; don't ask at 10:30 a.m., they've gone, e.g. to the U.S. "
        "in the '90s... She'd, I'm, we're, you'll -- 1,000 well-known R&B songs, 1/2 of AT&T."
    )
    assert [word for word in split_words(text.lower()) if word not in known] == []


def test_accents_may_be_written_as_one_character_or_as_two() -> None:
    text = "Zo\u00eb d\u00eena \u00e0 \u00c5rhus, 1\u00b5m \ud55c\uad6d caf\u00e9s."
    apart = unicodedata.normalize("NFD", text)
    assert apart != text
    assert split_words(apart) == split_words(text)
    found = [apart[start:end] for start, end in word_spans(apart)]
    assert [unicodedata.normalize("NFC", word) for word in found] == split_words(text)


@given(
    text=st.text(
        st.sampled_from("aAe '.,-1\u0301\u0327\u0308\u00e9\u1e69\u1112\u1161\u11ab\u0958\u2126")
    )
)
@example(".1\u0958")
@example("a.b.-\u0958")
def test_spans_of_any_text_are_those_of_its_words(text: str) -> None:
    spans = word_spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    words = [unicodedata.normalize("NFC", text[start:end]) for start, end in spans]
    assert words == split_words(text)
