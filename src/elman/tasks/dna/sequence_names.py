"""Matches sequence names of annotations: "chr1" is "1", "chrII" is "2"."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_ROMAN = {name: str(k) for k, name in enumerate(_NUMERALS, 1)}
_ROMAN |= {f"X{name}": str(10 + int(k)) for name, k in _ROMAN.items()} | {"XX": "20"}


def matched_names(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    """Maps names of an annotation (``theirs``) without a sequence to sequence names (``ours``).

    "chr1", "Chr1", "CHROMOSOME_I" and "1" are the same; "X" is 10 only if there is also a "IX".

    >>> matched_names(["chr1", "chrM", "other"], ["1", "2", "M"])
    {'chr1': '1', 'chrM': 'M'}
    >>> matched_names(["chrII", "chrX"], ["2", "10"])
    {'chrII': '2'}
    """
    roman = dict(_ROMAN)
    if any(_bare(name) == "IX" for name in (*theirs, *ours)):
        roman["X"] = "10"
    counted: dict[str, list[str]] = defaultdict(list)
    for name in ours:
        counted[roman.get(_bare(name), _bare(name))].append(name)
    found = {}
    for name in theirs:
        meant = counted.get(roman.get(_bare(name), _bare(name)), [])
        if name not in ours and len(meant) == 1:
            found[name] = meant[0]
    return found


def _bare(name: str) -> str:
    bare = re.sub(r"^(chromosome|chrom|chr)[_.]?", "", name, flags=re.IGNORECASE).upper()
    return {"MT": "M", "MTDNA": "M"}.get(bare, bare)
