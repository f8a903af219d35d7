"""Bases of DNA: the letters of IUPAC, as codes, as probabilities, and on the other strand.

Small letters mean soft-masked repeats and are read as their capitals; U is T.  An ambiguous
letter, such as R for A or G, is each of its bases with equal probability.  Files of sequences are
``fasta.py``'s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]

#: a letter's place here is its code
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
#: the code of what is no base
NO_BASE = 255

_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVNacgturyswkmbdhvn", "TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")
_CODE = np.full(256, NO_BASE, dtype=np.uint8)
for _code, _letter in enumerate(LETTERS):
    _CODE[ord(_letter)] = _CODE[ord(_letter.lower())] = _code
_CODE[ord("U")] = _CODE[ord("u")] = LETTERS.index("T")

#: the probability of A, C, G and T for each code
PROBABILITIES = np.array(
    [[(base in STANDS_FOR[x]) / len(STANDS_FOR[x]) for base in "ACGT"] for x in LETTERS],
    dtype=np.float32,
)
#: the code of each code's letter on the other strand
COMPLEMENT = np.array([LETTERS.index(x.translate(_COMPLEMENT)) for x in LETTERS], dtype=np.uint8)


def encode_bases(sequence: str) -> Codes:
    """The code of each letter; ``NO_BASE`` where it is none.

    >>> encode_bases("ACgtuN-").tolist()
    [0, 1, 2, 3, 3, 14, 255]
    """
    # what is not ASCII becomes "?", which is no base either
    raw = np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)
    return _CODE[raw]


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction.

    >>> reverse_complement("AAcgRN")
    'NYcgTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]
