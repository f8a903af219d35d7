"""The pronunciations of English words: CMUdict, and the rules of a synthesiser for other words.

Both are those that Debian packages (``apt-get install festlex-cmu flite``): CMUdict 0.4 with the
vowels of the University of Edinburgh, and the letter-to-sound rules of flite, which has the same
phonemes.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from elman.files import write_whole

CMUDICT = Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")
#: an entry: the word, its part of speech, and syllables of phonemes with their stress
_ENTRY = re.compile(r'\("([^"]+)" \S+ (\(.*\))\)')
_PHONEME = re.compile(r"[a-z]+")


def write_dictionary(words: Iterable[str], path: Path) -> Path:
    """Write the words with their pronunciations in the format of CMUdict."""
    known: dict[str, list[str]] = {}
    for line in CMUDICT.read_text(encoding="latin-1").splitlines():
        if entry := _ENTRY.match(line):
            said = " ".join(_PHONEME.findall(entry[2])).upper()
            known.setdefault(entry[1], []).append(said)
    lines = []
    for word in dict.fromkeys(words):
        ways = known.get(word) or [_by_rules(word)]
        lines += [f"{word} {said}" for said in dict.fromkeys(ways) if said]
    write_whole(path, "\n".join(lines) + "\n")
    return path


def _by_rules(word: str) -> str:
    """The phonemes that flite says for a word."""
    command = ["flite", "-ps", "-t", word, "-o", "none"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return " ".join([phoneme for phoneme in said.split() if phoneme != "pau"]).upper()
