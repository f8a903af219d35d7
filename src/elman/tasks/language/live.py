"""Texts token by token, while they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from rich.markup import escape

from elman.data.units import BOUNDARY, Units
from elman.errors import DataError, OptionError
from elman.tasks.language.answers import Continuation, Sample, record
from elman.tasks.language.options import LanguageOptions, WritingOptions
from elman.tasks.language.writing import sampled
from elman.tasks.task import Fitted


def stream(
    fitted: Fitted[Units, LanguageOptions], source: BinaryIO, wanted: WritingOptions
) -> Iterator[str]:
    """Yields the primer, then the text of each token as soon as it is drawn."""
    for found in stream_records(fitted, [source.read()], wanted):
        if found["type"] == "primer":
            yield f"[bold]{escape(found['text'])}[/]" if found["text"] else ""
        elif found["type"] == "token":
            yield escape(found["text"])
    yield "\n"


def stream_records(
    fitted: Fitted[Units, LanguageOptions], pieces: Iterable[bytes], wanted: WritingOptions
) -> Iterator[dict[str, Any]]:
    """Yields the ``primer``, a ``token`` for each piece of text, then the whole ``text``.

    ``pieces`` are a primer in UTF-8, or empty.
    """
    if wanted.beam or wanted.samples > 1:
        raise OptionError("a stream is one sampled text; omit beam and samples.")
    primer = _primer(b"".join(pieces))
    yield {"type": "primer", "text": primer}
    decoder, tokens = fitted.symbols.decoder(), []
    total, ended = 0.0, False
    for [token], [log_probability] in sampled(fitted, primer, wanted):
        total += log_probability
        ended = token == BOUNDARY
        if ended:
            break
        tokens.append(token)
        text = decoder.take(token)
        if text:
            yield {"type": "token", "text": text}
    rest = decoder.end()
    if rest:
        yield {"type": "token", "text": rest}
    sample = Sample(fitted.symbols.decode(tokens), total, len(tokens), ended)
    yield {"type": "text", **record(Continuation(primer, (sample,)))}


def _primer(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the primer: byte {error.start + 1} is not UTF-8; convert the text to UTF-8."
        ) from error
