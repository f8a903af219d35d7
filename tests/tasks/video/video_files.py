"""Small videos for tests, as bytes: frames at any times, without loss; a sound without pictures."""

import io
import wave
from fractions import Fraction

import av
import numpy as np


def make_video(pictures, times, rotation=0):
    """A matroska video whose grey frames are shown from these seconds on, each number kept."""
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


def with_sound(path, kind, seconds, sound_seconds, options):
    """The bytes of a video of noise with a noisy sound, ten frames a second, written to a file."""
    video, audio = {"webm": ("libvpx", "libopus")}.get(kind, ("libx264", "aac"))
    draw = np.random.default_rng(0)
    with av.open(str(path), "w", format=kind, options=options) as container:
        stream = container.add_stream(video, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        heard = container.add_stream(audio, rate=48_000)
        heard.layout = "mono"
        size = {"libopus": 960, "aac": 1024}[audio]
        for tenth in range(round(10 * max(seconds, sound_seconds))):
            if tenth < 10 * seconds:
                noise = draw.integers(0, 255, (48, 48), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(noise, format="gray8")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = tenth, Fraction(1, 10)
                container.mux(stream.encode(frame))
            if tenth < 10 * sound_seconds:
                for first in range(-(-4800 * tenth // size) * size, 4800 * (tenth + 1), size):
                    noise = (0.05 * draw.standard_normal((1, size))).astype("f")
                    frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
                    frame.sample_rate, frame.pts = 48_000, first
                    container.mux(heard.encode(frame))
        container.mux(stream.encode())
        container.mux(heard.encode())
    return path.read_bytes()


def transparent(kind, pictures, colour, beneath):
    """A GIF or APNG of ``colour`` where the pictures are true, transparent ``beneath`` elsewhere."""
    from PIL import Image

    frames = []
    for picture in pictures:
        pixels = np.where(picture[..., None], [*colour, 255], [*beneath, 0]).astype(np.uint8)
        frames.append(Image.fromarray(pixels, "RGBA"))
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=100, disposal=2)
    return file.getvalue()
