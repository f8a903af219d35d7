"""Small films for tests, as bytes: frames at any times, without loss; a sound without pictures."""

import io
import wave
from fractions import Fraction

import av
import numpy as np


def film(pictures, times, rotation=0):
    """A matroska film whose grey frames are shown from these seconds on, each number kept."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "gray"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="gray8")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def stretched(value, width, height, aspect):
    """An mp4 of one frame whose pixels are so many times wider than high."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        frame = av.VideoFrame.from_ndarray(flat(value, width, height), format="gray8")
        container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    return file.getvalue()


def flat(value, width=24, height=24):
    """A grey picture of one brightness."""
    return np.full((height, width), value, np.uint8)


def sound():
    """A wav of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(1600))
    return file.getvalue()
