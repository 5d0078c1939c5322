"""RTP header extensions (RFC 8285) that we understand or pass on."""

from __future__ import annotations

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ORIENTATION = "urn:3gpp:video-orientation"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
CONTENT_TYPE = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
COLOR_SPACE = "http://www.webrtc.org/experiments/rtp-hdrext/color-space"
CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
DEPENDENCY_DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

VIDEO_OFFER = {
    ORIENTATION: 1,
    PLAYOUT_DELAY: 2,
    CONTENT_TYPE: 3,
    COLOR_SPACE: 4,
    DEPENDENCY_DESCRIPTOR: 5,
    CAPTURE_TIME: 6,
}
"""Passed on to viewers, with the ids of our own offers. All fit the one-byte form (1 to 14).

The publisher's MID and transport-wide sequence number say nothing to a viewer and are blanked on the way.
"""

ANSWERED = {
    "audio": frozenset({MID, AUDIO_LEVEL, TRANSPORT_CC, CAPTURE_TIME}),
    "video": frozenset({MID, TRANSPORT_CC, *VIDEO_OFFER}),
}
"""What an answer accepts, when the client offers it."""

AUDIO_FORWARDED = frozenset({AUDIO_LEVEL, CAPTURE_TIME})

KNOWN = ANSWERED["audio"] | ANSWERED["video"] | AUDIO_FORWARDED
