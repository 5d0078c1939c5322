"""The kernel does for the load side what the figures rest on: it drops and counts, stamps, and sends bursts."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest
from load import kernel

RTP_LENGTH = 60


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sender that is connected to a receiver."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(receiver.getsockname())
    yield sender, receiver
    sender.close()
    receiver.close()


def rtp_packet(sequence: int, second: int = 96) -> bytes:
    return struct.pack("!BBHII", 0x80, second, sequence, 0, 1) + bytes(RTP_LENGTH - 12)


def waiting(receiver: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(receiver.recv(2048))
        except BlockingIOError:
            return found


def test_rtp_is_dropped_and_counted_and_the_rest_comes_through(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = pair
    kernel.drop_rtp(receiver)
    stun, dtls = b"\x00\x01" + bytes(18), b"\x16\xfe\xfd" + bytes(20)
    rtcp = [bytes((0x80, kind)) + bytes(10) for kind in (192, 200, 206, 223)]
    for datagram in [stun, dtls, *rtcp]:
        sender.send(datagram)
    for second in (0, 96, 0x80 | 96, 127, 255):
        sender.send(rtp_packet(5, second))
    assert waiting(receiver) == [stun, dtls, *rtcp]
    assert kernel.drops(receiver) == 5


def test_one_packet_in_1024_comes_through(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    kernel.drop_rtp(receiver)
    for sequence in range(1, 2050):
        sender.send(rtp_packet(sequence))
    assert [struct.unpack_from("!H", data, 2)[0] for data in waiting(receiver)] == [1024, 2048]
    assert kernel.drops(receiver) == 2049 - 2


def test_segments_of_one_large_send_are_counted_each(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = pair
    kernel.drop_rtp(receiver)
    udp_segment = 103
    sender.setsockopt(socket.IPPROTO_UDP, udp_segment, RTP_LENGTH)
    sender.send(b"".join(rtp_packet(sequence) for sequence in range(1, 11)))
    assert kernel.drops(receiver) == 10


def test_without_the_filter_rtp_comes_again(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    kernel.drop_rtp(receiver)
    kernel.keep_rtp(receiver)
    sender.send(rtp_packet(7))
    assert waiting(receiver) == [rtp_packet(7)]


def test_a_burst_leaves_in_order_and_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    burst = kernel.Burst(8)
    for turn in range(3):
        datagrams = [bytes([turn]) * (1 + 150 * index) for index in range(8)]
        for datagram in datagrams:
            burst.add(datagram)
        assert burst.send(sender.fileno()) == 8
        assert len(burst) == 0
        assert waiting(receiver) == datagrams


def test_arrivals_are_stamped(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    kernel.stamp_arrivals(receiver, True)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        before = time.time_ns()
        sender.send(rtp_packet(1))
        after = time.time_ns()
        received = kernel.receive_stamped(receiver)
        assert received is not None
        if before <= received[1] <= after:
            break
    else:  # the kernel starts stamping a little after it is asked to; until then it tells the time of reading
        pytest.fail("no arrival was stamped while it was sent")
    assert kernel.receive_stamped(receiver) is None
