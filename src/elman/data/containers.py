"""Which formats of sound and video files FFmpeg may read: those that are a single file.

A playlist (HLS, DASH, concat, SDP ...) names other files and addresses, which FFmpeg would open
while it reads it; a file of training data, or one that someone sends, must not do that.
"""

#: FFmpeg's option ``format_whitelist``: its demuxers that open nothing else
SINGLE_FILES = ",".join(
    (
        "mov", "matroska", "webm", "avi", "asf", "asf_o", "flv", "live_flv", "gif", "apng", "mpeg",
        "mpegts", "mpegtsraw", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc", "vvc", "av1",
        "obu", "ivf", "cavsvideo", "dirac", "vc1", "mjpeg", "mjpeg_2000", "yuv4mpegpipe", "dv",
        "mxf", "nut", "rm", "wtv", "swf", "ogg", "mp3", "aac", "ac3", "eac3", "amr", "wav", "w64",
        "aiff", "au", "caf", "flac", "image2pipe", "jpeg_pipe", "png_pipe", "webp_pipe", "bmp_pipe",
        "gif_pipe", "tiff_pipe", "webp_anim",
    )
)  # fmt: skip
