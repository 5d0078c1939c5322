"""What arrives at the port: demultiplexing, addresses, strangers, and datagrams of any content."""

from __future__ import annotations

import random
import socket

import pytest
from path_rig import PathFactory, Rig, rtp, sessions, vp8
from pylibsrtp import Error as SrtpError

from sfu.path.interface import Datagram, PacketPath, UnknownStream
from sfu.path.python.association import MAX_RTCP_SOURCES
from sfu.path.python.unknown import MAX_UNKNOWN
from sfu.wire import rtcp

PUBLISHER = 1000


@pytest.mark.parametrize(
    ("first", "where"),
    [
        (0, "stun"),
        (3, "stun"),
        (4, ""),
        (19, ""),
        (20, "dtls"),
        (63, "dtls"),
        (64, ""),
        (127, ""),
        (192, ""),
        (255, ""),
    ],
)
def test_the_first_byte_decides(rig: Rig, first: int, where: str) -> None:
    remote = rig.remote()
    data = bytes([first]) + bytes(30)
    remote.send_raw(data)
    inbound = rig.drain()
    assert inbound.stun == ([Datagram(data, remote.address)] if where == "stun" else [])
    assert inbound.dtls == ([Datagram(data, remote.address)] if where == "dtls" else [])
    assert rig.count("drop_not_media") == (0 if where else 1)


def test_rtcp_is_opened_and_handed_over(rig: Rig) -> None:
    remote = rig.remote()
    compound = rtcp.build([rtcp.PictureLoss(sender_ssrc=5, media_ssrc=2)])
    remote.send_rtcp(compound)
    assert rig.drain(7).rtcp == [(remote.transport, compound)]
    assert rig.path.last_received_us(remote.transport) == rig.now_us


def test_rtcp_goes_out_protected(rig: Rig) -> None:
    remote = rig.remote()
    compound = rtcp.build([rtcp.PictureLoss(sender_ssrc=1, media_ssrc=2)])
    rig.path.send_rtcp(remote.transport, compound)
    (data,) = remote.receive_raw()
    assert remote.opens.unprotect_rtcp(data) == compound


def test_plain_datagrams_go_out_as_they_are(rig: Rig) -> None:
    remote = rig.remote()
    rig.path.send(b"\x16hello", remote.address)
    assert remote.receive_raw() == [b"\x16hello"]


def test_strangers_cost_a_look_and_no_more(rig: Rig) -> None:
    remote = rig.remote()
    remote.protects, _, _ = sessions(99)
    remote.send(rtp(1, 0, PUBLISHER))
    remote.send_rtcp(rtcp.build([rtcp.ReceiverReport(ssrc=5)]))
    rig.drain()
    assert rig.count("drop_unauthentic") == 2
    rig.path.forget(remote.address)
    remote.send(rtp(2, 0, PUBLISHER))
    inbound = rig.drain()
    assert rig.count("drop_unknown_address") == 1
    assert inbound.unknown == []
    assert rig.path.last_received_us(remote.transport) == 0


def test_an_unclaimed_ssrc_is_told_once_a_second(rig: Rig) -> None:
    remote = rig.remote()
    told = []
    for number in range(30):
        remote.send(rtp(number, 0, 4242, payload_type=101))
        told += rig.drain(100_000).unknown
    assert told == [UnknownStream(remote.transport, 4242, 101)] * 3
    assert rig.count("drop_unknown_ssrc") == 30


def test_a_peer_may_not_bring_any_number_of_ssrcs(rig: Rig) -> None:
    remote = rig.remote()
    for ssrc in range(100):
        remote.send(rtp(1, 0, 1 + ssrc))
    assert len(rig.drain().unknown) == MAX_UNKNOWN
    assert rig.count("in_rtp") == MAX_UNKNOWN  # the others were not even opened
    for ssrc in range(200, 210):
        remote.send(rtp(1, 0, ssrc))
    assert len(rig.drain(1_000_000).unknown) == 10  # the oldest make room
    track = rig.track(remote, PUBLISHER)
    remote.send(rtp(1, 0, PUBLISHER))
    assert rig.drain().started == [track]


def test_a_forgotten_ssrc_leaves_nothing_behind(rig: Rig) -> None:
    remote = rig.remote()
    first = remote.protects.protect(rtp(1, 0, 1))
    remote.send_raw(first)
    for ssrc in range(2, 2 + MAX_UNKNOWN - 1):
        remote.send(rtp(1, 0, ssrc))
    rig.drain()
    remote.send_raw(first)
    rig.drain(1_000_000)
    assert rig.count("drop_replayed") == 1
    remote.send(rtp(1, 0, 5000))  # takes the place of the first
    rig.drain()
    remote.send_raw(first)
    rig.drain(1_000_000)
    assert rig.count("drop_replayed") == 1  # not even its replay window is left


def test_nor_any_number_of_rtcp_senders(rig: Rig) -> None:
    remote = rig.remote()
    for ssrc in range(100):
        remote.send_rtcp(rtcp.build([rtcp.PictureLoss(sender_ssrc=ssrc, media_ssrc=2)]))
    assert len(rig.drain().rtcp) == MAX_RTCP_SOURCES
    assert rig.count("drop_unknown_ssrc") == 100 - MAX_RTCP_SOURCES


def test_one_transport_may_not_claim_an_ssrc_twice_but_two_may(rig: Rig) -> None:
    first, second = rig.remote(), rig.remote()
    rig.track(first, PUBLISHER, rtx_ssrc=5)
    for ssrc in (PUBLISHER, 5):
        with pytest.raises(ValueError, match="SSRC"):
            rig.track(first, ssrc)
    rig.track(second, PUBLISHER)
    for wrong in (6, -1, 2**32):
        with pytest.raises(ValueError, match="SSRC"):
            rig.track(first, wrong, rtx_ssrc=6)
        with pytest.raises(ValueError, match="SSRC"):
            rig.leg(first, ssrc=wrong, rtx_ssrc=6)


def test_media_follows_the_selected_address(rig: Rig) -> None:
    publisher, viewer, moved = rig.remote(), rig.remote(), rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio")
    rig.feed(rig.leg(viewer, "audio"), track)
    rig.path.accept(viewer.transport, moved.address)
    rig.path.select(viewer.transport, moved.address)
    publisher.send(rtp(1, 0, PUBLISHER, payload_type=111))
    rig.drain()
    assert viewer.receive_raw() == []
    assert len(moved.receive_raw()) == 1
    # What comes from the new address is the transport's as well.
    moved.protects = viewer.protects
    moved.send_rtcp(rtcp.build([rtcp.PictureLoss(sender_ssrc=5, media_ssrc=2)]))
    assert [transport for transport, _ in rig.drain().rtcp] == [viewer.transport]
    # Closing the transport that had the address before takes nothing away.
    rig.path.close_transport(moved.transport)
    moved.send_rtcp(rtcp.build([rtcp.PictureLoss(sender_ssrc=5, media_ssrc=2)]))
    assert [transport for transport, _ in rig.drain().rtcp] == [viewer.transport]


def test_a_closed_transport_takes_its_tracks_and_legs_along(rig: Rig) -> None:
    publisher, viewer = rig.remote(), rig.remote()
    track = rig.track(publisher, PUBLISHER, "audio", rtx_ssrc=5)
    leg = rig.leg(viewer, "audio")
    rig.feed(leg, track)
    rig.path.close_transport(viewer.transport)
    publisher.send(rtp(1, 0, PUBLISHER, payload_type=111))
    rig.drain()
    assert viewer.receive_raw() == []
    rig.path.close_transport(publisher.transport)
    rig.path.close_transport(publisher.transport)
    for late in (rig.path.remove_leg, rig.path.remove_track):
        late(leg)
        late(track)
    with pytest.raises(KeyError):
        rig.path.receive_stats(track)
    publisher.send(rtp(2, 0, PUBLISHER, payload_type=111))
    rig.drain()
    assert rig.count("drop_unknown_address") == 1


def test_authentic_nonsense_is_counted(rig: Rig) -> None:
    remote = rig.remote()
    rig.track(remote, PUBLISHER, rtx_ssrc=5)
    remote.send(rtp(1, 0, PUBLISHER))
    remote.send(rtp(2, 0, PUBLISHER, b"abc", padding=1)[:-1] + b"\xff")  # padding past the packet
    remote.send(rtp(1, 0, 5, b"\x00", payload_type=97))
    rig.drain()
    assert rig.count("drop_malformed") == 1
    assert rig.count("in_rtp") == 3


def test_datagrams_of_any_content_never_raise(rig: Rig) -> None:
    remote = rig.remote()
    rig.track(remote, PUBLISHER)
    chance = random.Random(7)
    for _ in range(3_000):
        data = chance.randbytes(chance.choice([0, 1, 2, 7, 8, 11, 12, 13, 40, 1200, 2048, 9000]))
        if len(data) > 12 and chance.random() < 0.7:
            data = bytes([chance.choice([0x80, 0x90, 0xB0, 0xBF])]) + data[1:]
        remote.send_raw(data)
        if chance.random() < 0.1:
            rig.drain()
    rig.drain()
    counters = rig.path.counters()
    assert counters["datagrams_in"] == 3_000
    dropped = sum(count for name, count in counters.items() if name.startswith("drop_"))
    assert dropped + counters["in_stun"] + counters["in_dtls"] == 3_000


def test_mutated_packets_under_the_right_key_never_raise(rig: Rig) -> None:
    """An authentic peer may send anything; libsrtp refuses some of it, the parsers the rest."""
    remote, viewer = rig.remote(), rig.remote()
    track = rig.track(remote, PUBLISHER, rtx_ssrc=5, transport_cc_id=3)
    rig.feed(rig.leg(viewer), track)
    chance = random.Random(11)
    for number in range(2_000):
        data = bytearray(rtp(number, 0, chance.choice([PUBLISHER, 5]), chance.randbytes(30)))
        data[0] = 0x80 | chance.randrange(64)
        data[1] = chance.choice([96, 97, 0xE0, 33])
        data[12:20] = chance.choice([b"\xbe\xde\x00\x01", b"\x10\x00\x00\x03"]) + bytes(4)
        try:
            remote.send(bytes(data))
        except SrtpError:
            continue  # the client's own libsrtp refuses to send it
        rig.drain()
    assert rig.count("in_rtp") > 500
    viewer.receive_raw()


def test_a_flood_leaves_the_loop_its_turn(rig: Rig) -> None:
    remote = rig.remote()
    for _ in range(300):
        remote.send_raw(b"\x16" + bytes(50))
    assert len(rig.path.drain(rig.now_us).dtls) == 256
    assert len(rig.path.drain(rig.now_us).dtls) == 44


@pytest.mark.parametrize("address", [("localhost", 5), ("127.0.0.1", 0), ("::1", 5), ("", 9)])
def test_addresses_must_be_numeric(rig: Rig, address: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match=r"address|port|IPv4"):
        rig.path.send(b"\x16", address)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_one_dual_stack_socket_serves_both_families(path_factory: PathFactory) -> None:
    rig = Rig(path_factory, host="::")
    publisher, viewer = rig.remote("127.0.0.1"), rig.remote("::1")
    track = rig.track(publisher, PUBLISHER, "audio")
    rig.feed(rig.leg(viewer, "audio"), track)
    publisher.send(rtp(1, 0, PUBLISHER, payload_type=111))
    publisher.send_raw(b"\x00" * 20)
    viewer.send_raw(b"\x00" * 20)
    inbound = rig.drain()
    assert [datagram.address for datagram in inbound.stun] == [publisher.address, viewer.address]
    assert len(viewer.receive()) == 1
    rig.path.send(b"\x16four", publisher.address)
    assert publisher.receive_raw() == [b"\x16four"]
    rig.close()


def test_an_error_that_a_read_tells_is_counted_and_ends_nothing(path_factory: PathFactory) -> None:
    """What the kernel heard of a viewer that is gone comes with the next read (IP_RECVERR makes it tell)."""

    def telling(sock: socket.socket) -> PacketPath:
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)
        return path_factory(sock)

    rig = Rig(telling)
    publisher, gone, viewer = rig.remote(), rig.remote(), rig.remote()
    track = rig.track(publisher, PUBLISHER)
    for remote in (viewer, gone):  # so that nothing is sent before the next read
        rig.feed(rig.leg(remote), track)
    publisher.send(rtp(1, 0, PUBLISHER, vp8(1, keyframe=True)))
    rig.drain()
    gone.close()
    received = 0
    for number in range(2, 30):
        publisher.send(rtp(number, number * 3000, PUBLISHER, vp8(number)))
        rig.drain(20_000)
        received += len(viewer.receive())
    assert rig.count("receive_failed") > 0
    assert received >= 28
    # It is counted as what it is not, so that the sum of all that is read stays right.
    assert rig.count("datagrams_in") == rig.count("in_rtp") + rig.count("drop_not_media")
    rig.close()
