"""DNA bases: IUPAC letters as codes, as base probabilities, and their complements.

Lower case (soft-masked repeats) reads as upper case, and U as T.  An ambiguous letter, such as R
for A or G, has its bases with equal probability.  ``fasta.py`` reads files.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]

#: the index of a letter is its code
LETTERS = "ACGTRYSWKMBDHVN"
#: the bases that a letter can stand for (IUPAC-IUB 1984)
STANDS_FOR = {
    **{base: base for base in "ACGT"},
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
#: code of characters that are not bases
NO_BASE = 255

_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVNacgturyswkmbdhvn", "TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")
_CODE = np.full(256, NO_BASE, dtype=np.uint8)
for _code, _letter in enumerate(LETTERS):
    _CODE[ord(_letter)] = _CODE[ord(_letter.lower())] = _code
_CODE[ord("U")] = _CODE[ord("u")] = LETTERS.index("T")

#: (code, base): probabilities of A, C, G and T
PROBABILITIES = np.array(
    [[(base in STANDS_FOR[x]) / len(STANDS_FOR[x]) for base in "ACGT"] for x in LETTERS],
    dtype=np.float32,
)
#: the complement of each code
COMPLEMENT = np.array([LETTERS.index(x.translate(_COMPLEMENT)) for x in LETTERS], dtype=np.uint8)


def encode_bases(sequence: str) -> Codes:
    """The code of each letter; ``NO_BASE`` for other characters.

    >>> encode_bases("ACgtuN-").tolist()
    [0, 1, 2, 3, 3, 14, 255]
    """
    # other than ASCII becomes "?", which is not a base
    raw = np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)
    return _CODE[raw]


def reverse_complement(sequence: str) -> str:
    """The reverse complement of a sequence.

    >>> reverse_complement("AAcgRN")
    'NYcgTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]
