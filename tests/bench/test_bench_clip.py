"""The relay's video is a real one: it decodes, and starts where a decoder can."""

from __future__ import annotations

from aiortc.codecs.vpx import Vp8Decoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame
from av import VideoFrame
from load.relay import record_clip


def test_every_frame_of_the_clip_decodes() -> None:
    decoder = Vp8Decoder()
    for number, payload in enumerate(record_clip(30)):
        descriptor, data = VpxPayloadDescriptor.parse(payload)
        assert descriptor.partition_start == 1
        assert descriptor.picture_id is not None
        assert (data[0] & 1 == 0) is (number == 0)
        [frame] = decoder.decode(JitterFrame(data=data, timestamp=3000 * number))
        assert isinstance(frame, VideoFrame)
        assert (frame.width, frame.height) == (320, 240)
