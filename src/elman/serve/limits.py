"""The limits of the service, each an option of ``elman serve``."""

from __future__ import annotations

from dataclasses import dataclass

from elman.options import DeclaredOptions, option


@dataclass(frozen=True)
class Limits(DeclaredOptions):
    """What a request may cost; what exceeds a limit is refused with a status from 400 to 499."""

    max_megabytes: float = option(
        32.0, "size of a request's body, in megabytes", above=0, maximum=4096
    )
    max_inputs: int = option(256, "inputs of a request", minimum=1)
    max_length: int = option(
        100_000, "length of an input, in characters, bases or words", minimum=1
    )
    max_seconds: float = option(60.0, "seconds that a request may take", above=0, maximum=86_400)
    max_waiting: int = option(1000, "requests at a time", minimum=1)
    max_streams: int = option(16, "streams at a time", minimum=1)
    max_stream_seconds: float = option(3600.0, "seconds that a stream may last", above=0)
    max_message_megabytes: float = option(
        4.0, "size of a message of a stream, in megabytes", above=0, maximum=256
    )
    max_idle_seconds: float = option(
        60.0, "seconds that a stream may be silent", above=0, maximum=86_400
    )
    batch_milliseconds: float = option(
        2.0,
        "time for which a request waits for others, to be answered together",
        minimum=0,
        maximum=1000,
    )
    batch_inputs: int = option(64, "inputs of several requests answered together", minimum=1)

    @property
    def max_message_bytes(self) -> int:
        """The size of a message of a stream, in bytes."""
        return int(self.max_message_megabytes * 1_000_000)

    @property
    def max_bytes(self) -> int:
        """The size of a request's body, in bytes."""
        return int(self.max_megabytes * 1_000_000)
