"""Offers as clients write them, shortened where they repeat themselves. Fingerprints and names are made up."""

from __future__ import annotations

FINGERPRINT = ":".join(f"{value:02X}" for value in range(32))


def sdp(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\r\n".join(lines).replace("$FP", FINGERPRINT) + "\r\n"


CHROMIUM_VIDEO = sdp(
    """
    v=0
    o=- 4611731400430051336 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0
    a=extmap-allow-mixed
    a=msid-semantic: WMS 7a3c
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 39 40 45 46 98 99 100 101 114 115 116
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:kE3x
    a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ
    a=ice-options:trickle
    a=fingerprint:sha-256 $FP
    a=setup:actpass
    a=mid:0
    a=extmap:1 urn:ietf:params:rtp-hdrext:toffset
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:3 urn:3gpp:video-orientation
    a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
    a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
    a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
    a=sendonly
    a=msid:7a3c 9b1d
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:96 VP8/90000
    a=rtcp-fb:96 goog-remb
    a=rtcp-fb:96 transport-cc
    a=rtcp-fb:96 ccm fir
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtpmap:97 rtx/90000
    a=fmtp:97 apt=96
    a=rtpmap:103 H264/90000
    a=rtcp-fb:103 nack
    a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
    a=rtpmap:104 rtx/90000
    a=fmtp:104 apt=103
    a=rtpmap:107 H264/90000
    a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
    a=rtpmap:108 rtx/90000
    a=fmtp:108 apt=107
    a=rtpmap:39 H264/90000
    a=fmtp:39 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f
    a=rtpmap:40 rtx/90000
    a=fmtp:40 apt=39
    a=rtpmap:45 AV1/90000
    a=fmtp:45 level-idx=5;profile=0;tier=0
    a=rtpmap:46 rtx/90000
    a=fmtp:46 apt=45
    a=rtpmap:98 VP9/90000
    a=fmtp:98 profile-id=0
    a=rtpmap:99 rtx/90000
    a=fmtp:99 apt=98
    a=rtpmap:100 VP9/90000
    a=fmtp:100 profile-id=2
    a=rtpmap:101 rtx/90000
    a=fmtp:101 apt=100
    a=rtpmap:114 red/90000
    a=rtpmap:115 rtx/90000
    a=fmtp:115 apt=114
    a=rtpmap:116 ulpfec/90000
    a=ssrc-group:FID 1001 1002
    a=ssrc:1001 cname:Vn1
    a=ssrc:1001 msid:7a3c 9b1d
    a=ssrc:1002 cname:Vn1
    a=ssrc:1002 msid:7a3c 9b1d
    """
)

# bundlePolicy balanced: the slots have port 0 and a=bundle-only, or a transport of their own.
CHROMIUM_AUDIO_SLOTS = sdp(
    """
    v=0
    o=- 1 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1 2
    a=extmap-allow-mixed
    a=msid-semantic: WMS s
    m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110
    c=IN IP4 0.0.0.0
    a=ice-ufrag:AbCd
    a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ
    a=fingerprint:sha-256 $FP
    a=setup:actpass
    a=mid:0
    a=extmap:14 urn:ietf:params:rtp-hdrext:ssrc-audio-level
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
    a=sendrecv
    a=msid:s t
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:111 transport-cc
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:63 red/48000/2
    a=fmtp:63 111/111
    a=rtpmap:9 G722/8000
    a=rtpmap:110 telephone-event/48000
    a=ssrc:501 cname:x
    a=ssrc:501 msid:s t
    m=audio 0 UDP/TLS/RTP/SAVPF 111
    c=IN IP4 0.0.0.0
    a=bundle-only
    a=mid:1
    a=extmap:14 urn:ietf:params:rtp-hdrext:ssrc-audio-level
    a=recvonly
    a=rtcp-mux
    a=rtpmap:111 opus/48000/2
    m=audio 9 UDP/TLS/RTP/SAVPF 111
    c=IN IP4 0.0.0.0
    a=ice-ufrag:ZzZz
    a=ice-pwd:2nuSFJ5hHCaJZHkV5nUYw6dQ
    a=fingerprint:sha-256 $FP
    a=setup:actpass
    a=mid:2
    a=recvonly
    a=rtpmap:111 opus/48000/2
    """
)

# Upper-case UDP, braces, attributes behind extension URIs, component 2, no msid-semantic names.
FIREFOX_VIDEO = sdp(
    """
    v=0
    o=mozilla...THIS_IS_SDPARTA-99.0 6551 0 IN IP4 0.0.0.0
    s=-
    t=0 0
    a=fingerprint:sha-256 $FP
    a=group:BUNDLE 0
    a=ice-options:trickle
    a=msid-semantic:WMS *
    m=video 9 UDP/TLS/RTP/SAVPF 120 124 121 125 126 127
    c=IN IP4 0.0.0.0
    a=candidate:0 1 UDP 2122252543 192.0.2.4 41234 typ host
    a=candidate:0 2 UDP 2122252542 6d1f.local 41235 typ host
    a=sendonly
    a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
    a=extmap:5/sendonly http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01 vendor=1
    a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1; packetization-mode=1
    a=fmtp:120 max-fs=12288;max-fr=60
    a=fmtp:124 apt=120
    a=fmtp:121 max-fs=12288;max-fr=60
    a=fmtp:125 apt=121
    a=fmtp:127 apt=126
    a=ice-pwd:c1dff3ee8a9d8b3c5b91a1e3f2bb5a41
    a=ice-ufrag:0d8c7a11
    a=mid:0
    a=msid:{5b6e4d02} {1c9f}
    a=rtcp-fb:120 nack
    a=rtcp-fb:120 nack pli
    a=rtcp-fb:* transport-cc
    a=rtcp-mux
    a=rtpmap:120 VP8/90000
    a=rtpmap:124 rtx/90000
    a=rtpmap:121 VP9/90000
    a=rtpmap:125 rtx/90000
    a=rtpmap:126 H264/90000
    a=rtpmap:127 rtx/90000
    a=setup:actpass
    a=ssrc:2001 cname:{aa11}
    a=ssrc:2002 cname:{aa11}
    a=ssrc-group:FID 2001 2002
    """
)

SIMULCAST = CHROMIUM_VIDEO[: CHROMIUM_VIDEO.index("a=ssrc-group")] + sdp(
    """
    a=rid:q send
    a=rid:f send
    a=simulcast:send q;f
    """
)
