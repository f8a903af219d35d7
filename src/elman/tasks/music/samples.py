"""Sample data for music: short four-part phrases, and a primer as a MIDI file."""

import json

#: chords in C (bass, tenor, alto, soprano) by letter, so that a phrase is a string
_CHORDS = {
    "I": (48, 55, 64, 72),
    "i": (52, 55, 60, 72),
    "L": (48, 60, 64, 67),
    "V": (43, 59, 62, 67),
    "v": (47, 55, 62, 74),
    "7": (43, 59, 65, 71),
    "F": (53, 57, 60, 69),
    "f": (53, 60, 65, 69),
    "a": (45, 57, 64, 72),
    "d": (50, 57, 65, 74),
    "e": (52, 59, 64, 71),
    ".": (),
}
_PHRASES = (
    "IIFIvIVVIaFVLLLL",
    "LLfVLLVVaafi7I7IIII.",
    "IvIadV7IiFd7IIII",
    "LVaeFLfVLVLd7IIII",
    "aedVaeFFLfV7aaaa",
    "IFiFdvIFV7aFd7IIII",
)
#: transpositions in semitones of the training and validation phrases
_TRAIN, _VALID = (0, 2, 5, -3), (3,)


def _pieces(keys: tuple[int, ...]) -> list[list[list[int]]]:
    return [
        [[pitch + key for pitch in _CHORDS[chord]] for chord in phrase]
        for key in keys
        for phrase in _PHRASES
    ]


CHORALES_TRAIN = json.dumps({"train": _pieces(_TRAIN)}) + "\n"
CHORALES_VALID = json.dumps({"valid": _pieces(_VALID)}) + "\n"


def _midi(chords: str) -> bytes:
    """A MIDI file with one track of chords, each a quarter note, at 80 quarter notes a minute."""
    events = bytearray(b"\x00\xff\x51\x03\x0b\x71\xb0")  # 750,000 microseconds a quarter note
    for chord in chords:
        for pitch in _CHORDS[chord]:
            events += bytes([0, 0x90, pitch, 80])
        for k, pitch in enumerate(_CHORDS[chord]):
            events += bytes([0 if k else 96, 0x80, pitch, 0])
    events += b"\x00\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1, 0, 96])
    return header + b"MTrk" + len(events).to_bytes(4, "big") + bytes(events)


PRIMER = _midi("IFVI")
