"""An association against OpenSSL's own client: the handshake, a lost last flight, what stays, and every way to end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable

import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dtls_client import CBC, CHACHA, GCM, Client, fingerprints
from hypothesis import given
from hypothesis import strategies as st
from sfu_stubs import StubPath

from sfu.path.interface import Datagram, Inbound, UnknownStream
from sfu.sdp.remote import Fingerprint
from sfu.transport.dtls import MAX_REPEATS, MISTAKEN, Association, Certificate, Role
from sfu.transport.endpoint import Endpoint
from sfu.transport.peer import CLOSED_BY_CLIENT, Peer
from sfu.wire import dtls_records
from sfu.wire.address import Address
from sfu.wire.dtls_records import CIPHERS, RecordKeys

OURS = Certificate()
SECOND = 1_000_000
HOME: Address = ("192.0.2.10", 5000)


class Line:
    """A client and an association; every datagram is delivered at once."""

    def __init__(self, cipher: str = GCM, role: Role = "server") -> None:
        self.sent: list[bytes] = []
        self.association = Association(OURS, self.sent.append)
        self.role = role
        self.client = Client(cipher, "client" if role == "server" else "server")

    async def connect(self, named: Iterable[Fingerprint] | None = None) -> None:
        task = asyncio.create_task(self.association.shake_hands(self.role, named or fingerprints()))
        async with asyncio.timeout(10):
            while not (task.done() and self.client.finished):
                if answer := self.client.takes(self.taken()):
                    assert self.association.received(answer) == "taken"
                await asyncio.sleep(0)
        assert await task
        assert self.association.backlog() == []

    def taken(self) -> list[bytes]:
        found = self.sent.copy()
        self.sent.clear()
        return found


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("cipher", [GCM, CHACHA, CBC])
async def test_the_client_closes(cipher: str, role: Role) -> None:
    line = Line(cipher, role)
    await line.connect()
    assert line.association.received(line.client.close()) == "ended"


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize("cipher", [GCM, CHACHA, CBC])
async def test_we_close(cipher: str, role: Role) -> None:
    line = Line(cipher, role)
    await line.connect()
    line.association.close()
    (farewell,) = line.taken()
    line.client.connection.bio_write(farewell)
    assert line.client.told_of_the_end
    line.association.close()
    assert line.taken() == [], "once"


async def test_openssl_goes_with_the_handshake_and_does_not_wait_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        lines = [Line() for _ in range(3)]
        for line in lines:
            await line.connect()
        await asyncio.sleep(0)
        kept = [item for item in gc.get_objects() if isinstance(item, RTCDtlsTransport)]
        assert kept == []
    finally:
        gc.enable()


@pytest.mark.parametrize("cipher", [GCM, CHACHA, CBC])
async def test_a_client_that_lost_our_last_flight_gets_it_again(cipher: str) -> None:
    line = Line(cipher)
    task = asyncio.create_task(line.association.shake_hands("server", fingerprints()))
    async with asyncio.timeout(10):
        while not task.done():
            if answer := line.client.takes(line.taken()):
                line.association.received(answer)
            await asyncio.sleep(0)
    assert await task
    line.association.backlog()
    assert line.taken(), "lost on the way"
    assert not line.client.finished
    flight = await line.client.repeats()
    assert line.association.received(flight) == "taken"
    again = line.taken()
    line.client.takes(again)
    assert line.client.finished
    line.client.takes(again)
    assert line.association.received(line.client.close()) == "ended", "one too many does no harm"


async def test_the_last_flight_is_not_repeated_for_ever_nor_to_strangers() -> None:
    line = Line()
    task = asyncio.create_task(line.association.shake_hands("server", fingerprints()))
    finished = b""
    async with asyncio.timeout(10):
        while not task.done():
            if answer := line.client.takes(line.taken()):
                line.association.received(answer)
                finished = answer
            await asyncio.sleep(0)
    line.association.backlog()
    line.taken()
    for at in range(len(finished) - 40, len(finished)):
        line.association.received(finished[:at] + bytes([finished[at] ^ 1]) + finished[at + 1 :])
    assert line.taken() == []
    for _ in range(2 * MAX_REPEATS):
        line.association.received(finished)
    assert len(line.taken()) == MAX_REPEATS


@pytest.mark.parametrize("role", ["server", "client"])
async def test_only_the_server_repeats(role: Role) -> None:
    """Its flight is the last; if clients repeated theirs as well, both would go on for ever."""
    line = Line(role=role)
    await line.connect()
    line.taken()
    records = line.association._records
    assert records is not None
    line.association.received(sealed(records, 22, b"finished"))
    assert len(line.taken()) == (role == "server")


async def test_what_is_not_an_authentic_end_is_none() -> None:
    line = Line()
    await line.connect()
    goodbye = line.client.close()
    for at in range(len(goodbye)):
        broken = goodbye[:at] + bytes([goodbye[at] ^ 1]) + goodbye[at + 1 :]
        assert line.association.received(broken) == "taken", f"octet {at}"
        assert line.association.received(goodbye[:at]) == "taken"
    other = Line()
    await other.connect()
    assert line.association.received(other.client.close()) == "taken", "another association's"
    assert line.taken() == []
    assert line.association.received(b"\x16" + goodbye[1:] + goodbye) == "ended", (
        "behind another record"
    )


async def test_application_data_is_no_end() -> None:
    for cipher in (GCM, CBC):
        line = Line(cipher)
        await line.connect()
        line.client.connection.send(b"hello")
        assert line.association.received(line.client.output()) == "taken"


async def test_another_certificate_gets_no_keys() -> None:
    line = Line()
    stranger = Fingerprint("sha-256", ":".join(["00"] * 32))
    task = asyncio.create_task(line.association.shake_hands("server", [stranger]))
    async with asyncio.timeout(10):
        while not task.done():
            if answer := line.client.takes(line.taken()):
                line.association.received(answer)
            await asyncio.sleep(0)
    assert await task is None
    assert line.association.failure == MISTAKEN
    line.client.takes(line.taken())
    line.association.close()
    line.client.takes(line.taken())
    assert line.client.told_of_the_end, "else it waits for media that never flow"


async def test_one_of_several_fingerprints_is_enough() -> None:
    """RFC 8122 section 5: those of one hash function are for one certificate each, whichever is shown."""
    stranger = Fingerprint("sha-256", ":".join(["00"] * 32))
    line = Line()
    await line.connect([stranger, *fingerprints()])


# the records themselves


def keys(*, is_server: bool, cipher: str = GCM) -> RecordKeys:
    return RecordKeys.derive(cipher, bytes(48), bytes(32), bytes(range(32)), is_server=is_server)


def sealed(records: RecordKeys, kind: int, content: bytes, number: int = 1 << 48 | 7) -> bytes:
    """As the other side seals it, by AES-GCM."""
    key, salt = records.half(of_server=not records.is_server)
    explicit = number.to_bytes(8, "big")
    head = bytes([kind]) + b"\xfe\xfd"
    covered = explicit + head + len(content).to_bytes(2, "big")
    body = explicit + AESGCM(key).encrypt(salt + explicit, content, covered)
    return head + explicit + len(body).to_bytes(2, "big") + body


def sealed_alert(level: int, description: int, number: int = 1 << 48 | 7) -> bytes:
    return sealed(keys(is_server=True), 21, bytes([level, description]), number)


@pytest.mark.parametrize(
    ("level", "description", "end"),
    [
        (1, 0, True),  # close_notify
        (2, 0, True),
        (2, 80, True),  # fatal: internal_error
        (1, 90, False),  # user_canceled: a warning, close_notify follows
        (1, 100, False),  # no_renegotiation
    ],
)
def test_which_alerts_end_it(level: int, description: int, end: bool) -> None:
    assert dtls_records.ends(keys(is_server=True), sealed_alert(level, description)) is end


def test_an_alert_of_another_epoch_is_none() -> None:
    assert not dtls_records.ends(keys(is_server=True), sealed_alert(1, 0, number=7))
    assert not dtls_records.ends(keys(is_server=True), sealed_alert(1, 0, number=2 << 48 | 7))


def test_ours_does_not_end_us() -> None:
    """Sent back by somebody, it is sealed with the wrong half."""
    for cipher in CIPHERS:
        server, client = keys(is_server=True, cipher=cipher), keys(is_server=False, cipher=cipher)
        farewell = dtls_records.close_notify(server)
        assert dtls_records.ends(client, farewell)
        assert not dtls_records.ends(server, farewell)


def test_other_ciphers_are_refused() -> None:
    with pytest.raises(ValueError, match="AES128-SHA"):
        keys(is_server=True, cipher=CBC)


@given(st.binary(max_size=120))
def test_any_bytes_are_read(data: bytes) -> None:
    assert not dtls_records.ends(keys(is_server=True), data)
    assert not dtls_records.ends(keys(is_server=True), b"\x15\xfe\xfd\x00\x01" + data)


# when a peer lets go


class Owner:
    def __init__(self) -> None:
        self.connected = 0
        self.lost: list[str] = []

    def peer_connected(self, peer: Peer) -> None:
        self.connected += 1

    def peer_lost(self, peer: Peer, reason: str) -> None:
        self.lost.append(reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None: ...


class Desk:
    """An endpoint with one peer and its client."""

    def __init__(self) -> None:
        self.path = StubPath()
        self.endpoint = Endpoint(self.path, OURS, [("192.0.2.1", 7882)])
        self.owner = Owner()
        self.client = Client()
        self.now_us = 10 * SECOND
        self.peer = self.endpoint.open_peer(self.owner, self.now_us)

    async def connect(self) -> None:
        self.endpoint._claim(HOME, self.peer, self.now_us)
        self.peer.checked(HOME, self.peer.ufrag, nominated=True, now_us=self.now_us, size=100)
        self.peer.expect(fingerprints(), active=False)
        async with asyncio.timeout(10):
            while not (self.client.finished and self.owner.connected):
                self.receive(self.client.takes(self.sent()))
                await asyncio.sleep(0)

    def sent(self) -> list[bytes]:
        found = [data for data, _ in self.path.sent]
        self.path.sent.clear()
        return found

    def receive(self, data: bytes) -> None:
        if data:
            self.endpoint.dispatch(Inbound(dtls=[Datagram(data, HOME)]), self.now_us)


async def test_a_peer_is_lost_when_its_client_closes_and_says_so_too() -> None:
    desk = Desk()
    await desk.connect()
    assert desk.peer.state == "connected"
    desk.sent()
    desk.receive(desk.client.close())
    assert desk.owner.lost == [CLOSED_BY_CLIENT]
    (answer,) = desk.sent()
    desk.client.connection.bio_write(answer)
    assert desk.client.told_of_the_end, "RFC 5246 section 7.2.1"
    assert not any(desk.endpoint.leftovers().values())


async def test_a_peer_that_closes_says_so_at_once() -> None:
    desk = Desk()
    await desk.connect()
    desk.client.takes(desk.sent())
    desk.peer.close()
    (farewell,) = desk.sent()
    desk.client.connection.bio_write(farewell)
    assert desk.client.told_of_the_end
    assert desk.owner.lost == []


async def test_a_connected_peer_has_no_task() -> None:
    desk = Desk()
    await desk.connect()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_a_peer_that_is_closed_while_hands_are_shaken_leaves_no_task() -> None:
    desk = Desk()
    desk.endpoint._claim(HOME, desk.peer, desk.now_us)
    desk.peer.checked(HOME, desk.peer.ufrag, nominated=True, now_us=desk.now_us, size=100)
    desk.peer.expect(fingerprints(), active=False)
    desk.receive(desk.client.takes([]))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await desk.endpoint.close()
    assert desk.owner.connected == 0
    assert desk.owner.lost == []
    assert len(asyncio.all_tasks()) == 1
