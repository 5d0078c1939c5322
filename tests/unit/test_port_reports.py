"""Reports of either direction, which the path deals with itself."""

from __future__ import annotations

import pytest
from path_rig import Rig, rtp, vp8

from sfu.path.interface import Echo
from sfu.path.reports import LEGS_PER_PACKET, SENDING_US
from sfu.wire import rtcp

NTP = 0x0123456789ABCDEF


def fed_legs(rig: Rig, count: int) -> tuple[list[int], list[int]]:
    """A viewer's legs of one publisher, each of which has sent one packet; and their SSRCs."""
    publisher, viewer = rig.remote(), rig.remote()
    track = rig.track(publisher, 1000)
    ssrcs = list(range(2000, 2000 + count))
    legs = [rig.leg(viewer, ssrc=ssrc) for ssrc in ssrcs]
    for leg in legs:
        rig.feed(leg, track, {96: 96})
    publisher.send(rtp(1, 90_000, 1000, vp8(1, keyframe=True)))
    rig.drain(1)
    viewer.receive_raw()
    return legs, ssrcs


def told(rig: Rig, after_us: int, cname: str = "alice") -> tuple[int, list[list[rtcp.Rtcp]]]:
    """What the viewer, who came second, is told."""
    viewer = rig.remotes[1]
    packets = rig.path.send_reports(viewer.transport, cname, rig.now_us + after_us, NTP)
    compounds = [viewer.opens.unprotect_rtcp(data) for data in viewer.receive_raw()]
    return packets, [rtcp.parse(compound) for compound in compounds]


def test_a_viewer_is_told_what_was_sent(rig: Rig) -> None:
    fed_legs(rig, 1)
    packets, (compound,) = told(rig, 500_000)
    assert packets == 1
    payload = len(vp8(1, keyframe=True))
    assert compound == [
        rtcp.SenderReport(ssrc=2000, ntp=NTP, timestamp=90_000 + 45_000, packets=1, octets=payload),
        rtcp.SourceDescription(cnames={2000: "alice"}),
    ]


@pytest.mark.parametrize("cname", ["", "al", "alice", "alice@parley", "a" * 40])
def test_names_of_any_length_end_their_chunk(rig: Rig, cname: str) -> None:
    _, ssrcs = fed_legs(rig, 2)
    _, (compound,) = told(rig, 0, cname)
    assert compound[-1] == rtcp.SourceDescription(cnames=dict.fromkeys(ssrcs, cname))


def test_many_legs_take_several_packets(rig: Rig) -> None:
    _, ssrcs = fed_legs(rig, 2 * LEGS_PER_PACKET + 1)
    packets, compounds = told(rig, 0)
    assert packets == len(compounds) == 3
    sent = [item for compound in compounds for item in compound]
    assert [item.ssrc for item in sent if isinstance(item, rtcp.SenderReport)] == ssrcs


def test_who_sends_nothing_is_not_reported(rig: Rig) -> None:
    legs, ssrcs = fed_legs(rig, 2)
    rig.leg(rig.remotes[1], ssrc=9)
    rig.path.remove_leg(legs[0])
    _, (compound,) = told(rig, SENDING_US)
    assert [item.ssrc for item in compound if isinstance(item, rtcp.SenderReport)] == ssrcs[1:]
    assert told(rig, SENDING_US + 1) == (0, [])


def report(last_sr: int, delay: int) -> rtcp.ReceiverReport:
    block = rtcp.ReportBlock(ssrc=2000, last_sr=last_sr, delay=delay)
    return rtcp.ReceiverReport(ssrc=5, reports=[block])


def test_mere_reports_stay_below_and_what_they_echo_is_kept(rig: Rig) -> None:
    remote = rig.remote()
    names = rtcp.SourceDescription(cnames={5: "alice"})
    remote.send_rtcp(rtcp.build([report(0, 0), names]))
    assert rig.drain(1).rtcp == []
    assert rig.path.echo(remote.transport) is None
    remote.send_rtcp(rtcp.build([report(7, 8), names]))
    assert rig.drain(1).rtcp == []
    assert rig.path.echo(remote.transport) == Echo(7, 8, rig.now_us)
    assert rig.count("in_rtcp") == 2
    assert rig.path.last_received_us(remote.transport) == rig.now_us


def test_reports_with_anything_else_are_handed_over(rig: Rig) -> None:
    remote = rig.remote()
    compound = rtcp.build([report(7, 8), rtcp.PictureLoss(sender_ssrc=5, media_ssrc=2000)])
    remote.send_rtcp(compound)
    assert rig.drain(1).rtcp == [(remote.transport, compound)]
    assert rig.path.echo(remote.transport) == Echo(7, 8, rig.now_us)


def test_what_does_not_fit_its_lengths_is_handed_over(rig: Rig) -> None:
    remote = rig.remote()
    compound = rtcp.build([report(7, 8)])[:-4] + bytes(4)
    broken = compound[:3] + b"\x03" + compound[4:]
    remote.send_rtcp(broken)
    assert rig.drain(1).rtcp == [(remote.transport, broken)]
    assert rig.path.echo(remote.transport) is None


def test_nothing_is_told_to_a_transport_that_is_not_there(rig: Rig) -> None:
    with pytest.raises(KeyError):
        rig.path.send_reports(99, "alice", 0, 0)
    with pytest.raises(KeyError):
        rig.path.echo(99)
