"""Splitting a text into words, with the conventions of published word vectors.

These are the conventions of the Penn Treebank and of Stanford's tokeniser, so that words match
their GloVe vectors: "don't" is "do" and "n't", "it's" is "it" and "'s", hyphens join, other
punctuation is separate.  One regular expression does it, in time linear in the text; there is no
dictionary, so Thai is split only at spaces, and Chinese into its characters.
"""

import functools
import re
import unicodedata


def composed(text: str) -> str:
    """The text with each letter and its accents as one character (NFC), as in vocabularies.

    >>> composed("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# Letters that Unicode does not decompose into a plain letter and a mark.
_PLAIN_LETTERS = str.maketrans(
    {
        "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D",
        "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ı": "i",
    }
)  # fmt: skip


def without_accents(text: str) -> str:
    """The text without accents, as people write names on other keyboards.

    Marks of scripts in which they are letters, such as the vowel signs of Devanagari, remain.

    >>> without_accents("Zo\u00eb Łódź"), without_accents("Voß")
    ('Zoe Lodz', 'Voss')
    """
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text.translate(_PLAIN_LETTERS))
    plain = "".join([letter for letter in apart if not "\u0300" <= letter <= "\u036f"])
    return unicodedata.normalize("NFC", plain)


def split_words(text: str) -> list[str]:
    """The words of a text, in order; a text already split by spaces keeps its words.

    Words are composed (`composed`), however the text writes its accents.

    Separate words: clitics ("n't" "'s" "'m" "'d" "'re" "'ve" "'ll") and punctuation.  Kept whole:
    URLs, e-mail addresses, @names, #tags, numbers, dates, abbreviations, emoticons, emoji.  A
    typographic apostrophe becomes a plain one.  Spaces, zero-width spaces and HTML's <br> separate
    words.

    >>> split_words("I don't like it, @ada: 3.5/10 :-(")
    ['I', 'do', "n't", 'like', 'it', ',', '@ada', ':', '3.5/10', ':-(']
    >>> split_words("it's so laddish and juvenile , only")
    ['it', "'s", 'so', 'laddish', 'and', 'juvenile', ',', 'only']
    """
    plain = composed(text).replace("\u2019", "'")
    return [match.group() for match in _words_and_breaks().finditer(plain) if match["word"]]


def word_spans(text: str) -> list[tuple[int, int]]:
    """The start and end (exclusive) of each word of `split_words` in ``text``.

    Positions refer to the text as given, composed or not.

    >>> word_spans("It's fine.")
    [(0, 2), (2, 4), (5, 9), (9, 10)]
    """
    whole, places = _composed_with_places(text)
    plain = whole.replace("\u2019", "'")
    spans = [match.span() for match in _words_and_breaks().finditer(plain) if match["word"]]
    if places is None:
        return spans
    return [(places[start], places[end]) for start, end in spans]


def _composed_with_places(text: str) -> tuple[str, list[int] | None]:
    """The composed text, and the position in ``text`` of each character; None if unchanged.

    Only neighbouring characters compose, so the text can be composed in pieces, each of which
    starts with a character that never joins the one before it.
    """
    whole = composed(text)
    if whole == text:
        return text, None
    pieces, places, start = [], [], 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _may_join(text[end]):
            continue
        piece = unicodedata.normalize("NFC", text[start:end])
        pieces.append(piece)
        # if a piece composes to several characters, all but the first are placed at its end
        places += [start, *[min(start + k, end) for k in range(1, len(piece))]]
        start = end
    return "".join(pieces), [*places, len(text)]


def _may_join(character: str) -> bool:
    """Whether a character may compose with those before it: marks, and later jamo of Hangul."""
    return (
        unicodedata.combining(character) != 0
        or unicodedata.category(character) in ("Mn", "Mc")
        or "\u1160" <= character <= "\u11ff"
    )


# Ideographs, which are written without spaces: each is a word.
_HAN = r"\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLITIC = r"(?i:n't|'(?:s|m|d|re|ve|ll))"
# Skin tones, and the characters that turn the one before into an emoji.
_EMOJI_TAIL = r"[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
_TITLES = "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Inc|Ltd|Corp|vs|etc|Gen|Gov|Sen|Rep|Sgt|Capt|Lt|Col|Rev"


@functools.cache
def _words_and_breaks() -> re.Pattern[str]:
    """A pattern that matches every character; the group ``word`` is empty between words.

    Alternatives are tried in order.  All repetition that can fail is bounded, so that matching
    takes linear time.
    """
    letter = rf"(?:[^\W_{_HAN}]|[{_marks()}])"
    part = rf"[\w{_marks()}]"  # a letter, a digit or "_"
    # characters that join two letters into one word, or two digits into a number or a time
    joint = rf"(?:[-'_&·\u00ad\u200c\u200d\u2010\u2011](?={letter})|(?<=\d)[.,:/](?=\d))"
    return re.compile(
        rf"""
        (?: \s | [\u200b\u2060\ufeff] | (?i:<br\s{{0,9}}/?>) )+
        | (?P<word>
            [a-zA-Z]++ (?=[\s,]|$)
          | [0-9\#*] \ufe0f? \u20e3
          | (?i:https?://|www\.) [^\s<>"]* [^\s<>".,;:!?)\]}}'*]
          | (?<![\w.]) [\w.+-]{{1,64}} @ (?:[a-zA-Z0-9-]{{1,63}}\.){{1,8}} [a-zA-Z]{{2,}}
          | (?<![\w.-]) (?:[a-zA-Z0-9-]{{1,63}}\.){{1,8}} (?:com|org|net|edu|gov|info|io|ly) \b
            (?: / [^\s<>"]* [^\s<>".,;:!?)\]}}'*] )?
          | [@\#] {letter} (?:{letter}|_)*
          | & (?: [a-zA-Z]{{2,8}} | \#\d{{1,7}} ) ;
          | [:;=] [-o^']? [)(\]\[] (?!\w) | (?<!\w) [:;=] [-o^']? [DPpOo/\\|*3] (?!\w) | <3 (?!\d)
          | {_CLITIC} (?!\w)
          | (?<!\w) ' \d\d s? (?!\w) | (?<!\w) (?i:'em|'n') (?!\w)
          | (?<!\w) (?i:{_TITLES}) \.
          | (?<![\w.]) (?:[^\W\d_{_HAN}]\.){{2,}} (?: [^\W\d_] (?!\w) )? (?:-{part}+)*
          | (?<![\w.]) [A-HJ-Z] \. (?=\s?[A-Z])
          | (?<!\w) \. (?=\d) {part}+
          | {letter} (?: {letter} | {joint} )*? (?= {_CLITIC} (?!\w) | (?!{letter}|{joint}) )
          | \.{{2,}} | -{{2,}} | _+ | ={{2,}} | \*{{2,}} | ~{{2,}} | `` | ''
          | [\U0001f1e6-\U0001f1ff]{{2}}
          | \S {_EMOJI_TAIL}* (?: \u200d \S {_EMOJI_TAIL}* )*
        )
        """,
        re.VERBOSE,
    )


def _marks() -> str:
    """The combining marks, such as the vowel signs of Devanagari, which \\w does not match."""
    marks = [code for code in range(0x300, 0x1F000) if _is_mark(chr(code))]
    starts = [code for code in marks if not _is_mark(chr(code - 1))]
    ends = [code for code in marks if not _is_mark(chr(code + 1))]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


def _is_mark(character: str) -> bool:
    # U+FE00 to U+FE0F select the form of the character before: they belong to emoji
    return unicodedata.category(character) in ("Mn", "Mc") and not "\ufe00" <= character <= "\ufe0f"
