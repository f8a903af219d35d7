"""Mutants of a file: a few bytes or lines changed, lost, repeated or moved."""

from random import Random

from elman.errors import DataError

PIECES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\r\n", b"\n\n", b'"', b'""', b"\t", b",", b"|",
    b"{", b"[", b"]", b"\\ud83d", b"1e999", b"nan", b"-1", b"9" * 5000, b"[" * 3000, b"##FASTA\n", b">",
    b"#", b"-DOCSTART-\n", b"\xe2\x80\xa8", b"e\xcc\x81", b"\x1f\x8b", b"PK\x03\x04", b"sep=;\n", b"M-ORG",
    b" " * 2000, b"\xc2\xb2", b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff",
)  # fmt: skip


def mutant(content: bytes, random: Random) -> bytes:
    for _ in range(random.choice([1, 1, 2, 4, 10])):
        at = random.randrange(len(content) + 1)
        to = min(len(content), at + random.choice([1, 3, 40, 400]))
        lines = content.split(b"\n")
        line = random.randrange(len(lines))
        other = random.randrange(len(lines))
        swapped = list(lines)
        swapped[line], swapped[other] = swapped[other], swapped[line]
        content = random.choice(
            [
                content[:at],
                content[at:],
                content[:at] + content[to:],
                content[:to] + content[at:],
                content[:at] + random.choice(PIECES) + content[at:],
                content[:at] + random.choice(PIECES) + content[to:],
                content[:at] + bytes([random.randrange(256)]) + content[at + 1 :],
                content[:at] + content[at:to].swapcase() + content[to:],
                b"\n".join(swapped),
                b"\n".join(lines[:line] + lines[line + 1 :]),
                b"\n".join(lines[:line]) + b"".join(lines[line:]),
                content.replace(b"\n", random.choice([b"\r", b"\r\n", b"\r\r\n", b"\n\n"])),
            ]
        )
    return content


def as_bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def refusal_of(read) -> str:
    """The sentence of a DataError, which is one line; "" where there was none."""
    refusal = ""
    try:
        read()
    except DataError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return refusal
