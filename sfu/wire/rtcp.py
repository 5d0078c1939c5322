"""RTCP: compound packets to small values and back (RFC 3550 section 6, RFC 4585, RFC 5104).

Packet types that mean nothing here (APP, XR and the like) are passed over. Whatever does not fit its own
lengths raises ValueError: a compound packet is taken whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct

import msgspec

from sfu.wire import twcc

_COMMON = Struct("!BBH")
_U32 = Struct("!I")
_PAIR = Struct("!II")
_SENDER_INFO = Struct("!QIII")
_BLOCK = Struct("!IB3sIIII")
_FIR_ENTRY = Struct("!IB3x")
_NACK_ENTRY = Struct("!HH")

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
_NACK, _TRANSPORT_FEEDBACK = 1, 15
_PLI, _FIR, _APPLICATION_LAYER = 1, 4, 15
_CNAME = 1
_REMB_NAME = b"REMB"
LOSSY = 26
"""Of 256: a tenth. A receiver that reports so much loss is told of (`look`)."""
MAX_ITEMS = 31
"""Five bits count the blocks, chunks or sources of one packet."""


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 3550 section 6.4.1. `fraction_lost` is of 256; `delay` is in 1/65536 s."""

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    """Cumulative, signed: duplicates make it negative."""
    highest_sequence: int = 0
    jitter: int = 0
    last_sr: int = 0
    """The middle 32 bits of the sender report's NTP time; 0 before the first."""
    delay: int = 0


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    ssrc: int
    ntp: int
    """64-bit fixed point, seconds since 1900 in the upper half."""
    timestamp: int
    packets: int
    octets: int
    reports: list[ReportBlock] = []


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    ssrc: int
    reports: list[ReportBlock] = []


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Canonical names by SSRC; other items are passed over."""

    cnames: dict[int, str]


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    ssrcs: list[int]


class Nack(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 4585 section 6.2.1."""

    sender_ssrc: int
    media_ssrc: int
    sequences: list[int]


class PictureLoss(msgspec.Struct, frozen=True, kw_only=True):
    """PLI, RFC 4585 section 6.3.1."""

    sender_ssrc: int
    media_ssrc: int


class FullIntraRequest(msgspec.Struct, frozen=True, kw_only=True):
    """FIR, RFC 5104 section 4.3.1: (SSRC, command number) pairs."""

    sender_ssrc: int
    entries: list[tuple[int, int]]


class Remb(msgspec.Struct, frozen=True, kw_only=True):
    """Receiver's estimate of the bits per second it can take (draft-alvestrand-rmcat-remb-03)."""

    sender_ssrc: int
    bitrate: int
    ssrcs: list[int]


Rtcp = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | Nack
    | twcc.TransportFeedback
    | PictureLoss
    | FullIntraRequest
    | Remb
)


# --- reading --------------------------------------------------------------------------------


def parse(data: bytes, *, transport_feedback: bool = True) -> list[Rtcp]:
    """Raises ValueError.

    Transport-wide feedback tells of up to 65,535 packets in thirty bytes. Whoever has no use for it leaves it out.
    """
    packets: list[Rtcp] = []
    at = 0
    if not data:
        raise ValueError("RTCP packet is empty")
    while at < len(data):
        if len(data) - at < _COMMON.size:
            raise ValueError("RTCP header is cut off")
        first, kind, words = _COMMON.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first >> 6 != 2:
            raise ValueError("RTCP version is not 2")
        if end > len(data):
            raise ValueError("RTCP packet runs past the datagram")
        read = _READERS.get(kind)
        left_out = kind == RTPFB and first & 0x1F == _TRANSPORT_FEEDBACK and not transport_feedback
        if read is not None and not left_out:
            packet = read(first & 0x1F, _without_padding(data[at + 4 : end], first))
            if packet is not None:
                packets.append(packet)
        at = end
    return packets


def _without_padding(body: bytes, first: int) -> bytes:
    if not first & 0x20:
        return body
    if not body or not 1 <= body[-1] <= len(body):
        raise ValueError("RTCP padding does not fit its packet")
    return body[: -body[-1]]


def _need(body: bytes, length: int, what: str) -> None:
    if len(body) < length:
        raise ValueError(f"RTCP {what} is cut off")


def _read_sr(count: int, body: bytes) -> SenderReport:
    _need(body, 24, "sender report")
    (ssrc,) = _U32.unpack_from(body)
    ntp, timestamp, packets, octets = _SENDER_INFO.unpack_from(body, 4)
    return SenderReport(
        ssrc=ssrc,
        ntp=ntp,
        timestamp=timestamp,
        packets=packets,
        octets=octets,
        reports=_read_blocks(count, body, 24),
    )


def _read_rr(count: int, body: bytes) -> ReceiverReport:
    _need(body, 4, "receiver report")
    return ReceiverReport(ssrc=_U32.unpack_from(body)[0], reports=_read_blocks(count, body, 4))


def _read_blocks(count: int, body: bytes, at: int) -> list[ReportBlock]:
    _need(body, at + count * _BLOCK.size, "report block")
    blocks = []
    for index in range(count):
        ssrc, fraction, lost, highest, jitter, last_sr, delay = _BLOCK.unpack_from(
            body, at + index * _BLOCK.size
        )
        blocks.append(
            ReportBlock(
                ssrc=ssrc,
                fraction_lost=fraction,
                lost=int.from_bytes(lost, "big", signed=True),
                highest_sequence=highest,
                jitter=jitter,
                last_sr=last_sr,
                delay=delay,
            )
        )
    return blocks


def _read_sdes(count: int, body: bytes) -> SourceDescription:
    cnames: dict[int, str] = {}
    at = 0
    for _ in range(count):
        _need(body, at + 4, "source description")
        (ssrc,) = _U32.unpack_from(body, at)
        at = _read_items(body, at + 4, ssrc, cnames)
    return SourceDescription(cnames=cnames)


def _read_items(body: bytes, at: int, ssrc: int, cnames: dict[int, str]) -> int:
    """Past the chunk's items; a zero byte ends them, filled up to a word (RFC 3550 section 6.5)."""
    while True:
        _need(body, at + 1, "source description item")
        if body[at] == 0:
            return (at + 4) & ~3
        _need(body, at + 2, "source description item")
        end = at + 2 + body[at + 1]
        _need(body, end, "source description item")
        if body[at] == _CNAME:
            cnames[ssrc] = body[at + 2 : end].decode(errors="replace")
        at = end


def _read_bye(count: int, body: bytes) -> Goodbye:
    _need(body, 4 * count, "goodbye")
    return Goodbye(ssrcs=_read_ssrcs(body[: 4 * count]))


def _read_ssrcs(body: bytes) -> list[int]:
    return [ssrc for (ssrc,) in _U32.iter_unpack(body)]


def _read_rtpfb(form: int, body: bytes) -> Nack | twcc.TransportFeedback | None:
    if form not in (_NACK, _TRANSPORT_FEEDBACK):
        return None
    _need(body, 8, "feedback")
    sender, media = _PAIR.unpack_from(body)
    if form == _TRANSPORT_FEEDBACK:
        return twcc.parse(sender, media, body[8:])
    if len(body) % _NACK_ENTRY.size:
        raise ValueError("RTCP NACK is cut off")
    sequences = []
    for first, mask in _NACK_ENTRY.iter_unpack(body[8:]):
        sequences.append(first)
        sequences += [(first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return Nack(sender_ssrc=sender, media_ssrc=media, sequences=sequences)


def _read_psfb(form: int, body: bytes) -> PictureLoss | FullIntraRequest | Remb | None:
    if form not in (_PLI, _FIR, _APPLICATION_LAYER):
        return None
    _need(body, 8, "feedback")
    sender, media = _PAIR.unpack_from(body)
    if form == _PLI:
        return PictureLoss(sender_ssrc=sender, media_ssrc=media)
    if form == _FIR:
        if len(body) % _FIR_ENTRY.size:
            raise ValueError("RTCP FIR is cut off")
        return FullIntraRequest(sender_ssrc=sender, entries=list(_FIR_ENTRY.iter_unpack(body[8:])))
    return _read_remb(sender, body) if body[8:12] == _REMB_NAME else None


def _read_remb(sender: int, body: bytes) -> Remb:
    _need(body, 16, "REMB")
    count = body[12]
    _need(body, 16 + 4 * count, "REMB")
    exponent, mantissa = body[13] >> 2, (body[13] & 0x03) << 16 | body[14] << 8 | body[15]
    ssrcs = _read_ssrcs(body[16 : 16 + 4 * count])
    return Remb(sender_ssrc=sender, bitrate=mantissa << exponent, ssrcs=ssrcs)


_READERS: dict[int, Callable[[int, bytes], Rtcp | None]] = {
    SR: _read_sr,
    RR: _read_rr,
    SDES: _read_sdes,
    BYE: _read_bye,
    RTPFB: _read_rtpfb,
    PSFB: _read_psfb,
}


# --- writing --------------------------------------------------------------------------------


def build(packets: Iterable[Rtcp]) -> bytes:
    """One compound packet. Raises ValueError for more items than a packet can count."""
    return b"".join(_write(packet) for packet in packets)


def _write(packet: Rtcp) -> bytes:  # one branch per packet type
    match packet:
        case SenderReport():
            body = _U32.pack(packet.ssrc) + _SENDER_INFO.pack(
                packet.ntp,
                packet.timestamp,
                packet.packets & 0xFFFFFFFF,
                packet.octets & 0xFFFFFFFF,
            )
            return _wrap(SR, len(packet.reports), body + _write_blocks(packet.reports))
        case ReceiverReport():
            body = _U32.pack(packet.ssrc) + _write_blocks(packet.reports)
            return _wrap(RR, len(packet.reports), body)
        case SourceDescription():
            body = b"".join(_write_chunk(ssrc, name) for ssrc, name in packet.cnames.items())
            return _wrap(SDES, len(packet.cnames), body)
        case Goodbye():
            return _wrap(BYE, len(packet.ssrcs), _write_ssrcs(packet.ssrcs))
        case Nack():
            head = _PAIR.pack(packet.sender_ssrc, packet.media_ssrc)
            return _wrap(RTPFB, _NACK, head + _write_nack_entries(packet.sequences))
        case twcc.TransportFeedback():
            head = _PAIR.pack(packet.sender_ssrc, packet.media_ssrc)
            return _wrap(RTPFB, _TRANSPORT_FEEDBACK, head + twcc.write(packet))
        case PictureLoss():
            return _wrap(PSFB, _PLI, _PAIR.pack(packet.sender_ssrc, packet.media_ssrc))
        case FullIntraRequest():
            entries = b"".join(_FIR_ENTRY.pack(ssrc, n & 0xFF) for ssrc, n in packet.entries)
            return _wrap(PSFB, _FIR, _PAIR.pack(packet.sender_ssrc, 0) + entries)
        case Remb():
            return _wrap(PSFB, _APPLICATION_LAYER, _write_remb(packet))


def _wrap(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_ITEMS:
        raise ValueError("too many items for one RTCP packet")
    if len(body) % 4:  # only transport feedback can end within a word; it is padded with its length
        padding = -len(body) % 4
        return _wrap_words(kind, count | 0x20, body + bytes(padding - 1) + bytes([padding]))
    return _wrap_words(kind, count, body)


def _wrap_words(kind: int, count: int, body: bytes) -> bytes:
    if len(body) > 4 * 0xFFFF:
        raise ValueError("RTCP packet is too long")
    return _COMMON.pack(0x80 | count, kind, len(body) // 4) + body


def _write_blocks(blocks: list[ReportBlock]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost,
            max(-0x800000, min(block.lost, 0x7FFFFF)).to_bytes(3, "big", signed=True),
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_sr,
            block.delay & 0xFFFFFFFF,
        )
        for block in blocks
    )


def _write_chunk(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = _U32.pack(ssrc) + bytes([_CNAME, len(name)]) + name
    return chunk + bytes(4 - len(chunk) % 4)


def _write_ssrcs(ssrcs: list[int]) -> bytes:
    return b"".join(_U32.pack(ssrc) for ssrc in ssrcs)


def _write_nack_entries(sequences: list[int]) -> bytes:
    entries: list[list[int]] = []
    for sequence in sequences:
        ahead = (sequence - entries[-1][0]) & 0xFFFF if entries else 0
        if 1 <= ahead <= 16:
            entries[-1][1] |= 1 << (ahead - 1)
        else:
            entries.append([sequence & 0xFFFF, 0])
    return b"".join(_NACK_ENTRY.pack(first, mask) for first, mask in entries)


def _write_remb(packet: Remb) -> bytes:
    if len(packet.ssrcs) > 255:
        raise ValueError("too many sources for one REMB")
    exponent = max(0, packet.bitrate.bit_length() - 18)
    mantissa = packet.bitrate >> exponent
    return (
        _PAIR.pack(packet.sender_ssrc, 0)
        + _REMB_NAME
        + bytes([len(packet.ssrcs)])
        + (exponent << 18 | mantissa).to_bytes(3, "big")
        + _write_ssrcs(packet.ssrcs)
    )


def look(data: bytes) -> tuple[bool, tuple[int, int] | None]:
    """Whether there is nothing but names and receiver reports of little loss in a compound, and what was last echoed.

    The latter is LSR and DLSR of the last report block that has any (RFC 3550 section 6.4.1). What does not fit its
    lengths, or is padded, is left to `parse`: then there is more than reports.
    """
    echo: tuple[int, int] | None = None
    lossy = False
    at = 0
    while at < len(data):
        if len(data) - at < _COMMON.size:
            return False, echo
        first, kind, words = _COMMON.unpack_from(data, at)
        end = at + 4 * (words + 1)
        blocks = at + 8 if kind == RR else at + 28
        count = first & 0x1F
        if end > len(data) or first >> 5 != 4 or kind not in (SR, RR, SDES):
            return False, echo
        if kind != SDES:
            if blocks + count * _BLOCK.size > end:
                return False, echo
            for index in range(count):
                block = blocks + index * _BLOCK.size
                last_sr, delay = _PAIR.unpack_from(data, block + 16)
                lossy = lossy or data[block + 4] >= LOSSY
                echo = (last_sr, delay) if last_sr else echo
            if kind == SR:
                return False, echo
        at = end
    return bool(data) and not lossy, echo


def round_trip_us(last_sr: int, delay: int, now_ntp: int) -> int | None:
    """What was echoed of a report of ours says of the way there and back (RFC 3550 section 6.4.1).

    `now_ntp`: when it arrived. None when the figures can't be true.
    """
    units = ((now_ntp >> 16) - last_sr - delay) & 0xFFFFFFFF
    if units >= 0x80000000:
        return 0 if units > 0xFFFF0000 else None  # a second of clock rounding at most
    return units * 1_000_000 >> 16


def fraction_lost(expected: int, received: int) -> int:
    """Of 256, for one interval (RFC 3550 appendix A.3)."""
    lost = expected - received
    if expected <= 0 or lost <= 0:
        return 0
    return min(255, (lost << 8) // expected)
