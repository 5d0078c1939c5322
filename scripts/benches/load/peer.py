"""One WebRTC transport of a client: a UDP socket, ICE checks, DTLS keys, and little else."""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import time

from aioice import stun
from OpenSSL import SSL
from pylibsrtp import Error as SrtpError

from load import rtp, sdp
from load.dtls import Handshake, Identity, Keys

_CHECK_EVERY = 0.05
_CHECK_PRIORITY = 1_845_501_695  # peer-reflexive, RFC 8445 section 5.1.2
_CONSENT_EVERY = 5.0  # RFC 7675 section 5.1
_READS_A_TURN = 64


class PeerFailed(RuntimeError):
    """A transport did not come up; the text says how far it got."""


class Peer:
    """Bound on construction, so that its address can go into an offer. `close` it in the end."""

    def __init__(self, identity: Identity, host: str, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.local = sdp.Local(
            ufrag=secrets.token_hex(4),
            password=secrets.token_hex(16),
            fingerprint=identity.fingerprint,
            address=self.socket.getsockname(),
        )
        self.report_ssrc = secrets.randbits(31) | 1
        self.heard: list[int] = []
        """SSRCs the other side sends, for the receiver reports."""
        self.keyframes_tracked = False
        """Whether RTCP is opened at all: publishers want to know, viewers don't."""
        self.keyframes_wanted: set[int] = set()
        self.reports_itself = False
        """A stream sends here, and its thread alone may protect packets: libsrtp is not thread-safe."""
        self.transport_sequence = 0
        self.rtp_received = 0
        self.frames_received = 0
        """Packets with the marker bit: ends of video frames, where no filter takes them."""
        self.sampled = False
        """RTP is opened, so that the rollover counter is known when this peer is looked at closely."""
        self._identity = identity
        self._loop = asyncio.get_running_loop()
        self._handshake: Handshake | None = None
        self._keys: Keys | None = None
        self._check = b""
        self._reachable = asyncio.Event()
        self._ready = asyncio.Event()
        self._remote: sdp.Remote | None = None
        self._loop.add_reader(self.socket.fileno(), self._readable)

    @property
    def keys(self) -> Keys:
        """Raises PeerFailed before `connect` has succeeded."""
        if self._keys is None:
            raise PeerFailed(f"{self.name}: not connected")
        return self._keys

    @property
    def connected(self) -> bool:
        return self._keys is not None

    async def connect(self, remote: sdp.Remote, *, controlling: bool, within: float = 30.0) -> None:
        """Check the remote's candidate, nominate it, and shake hands. Raises PeerFailed."""
        if not remote.candidates:
            raise PeerFailed(f"{self.name}: the other side names no UDP host candidate")
        self._remote = remote
        self.heard = [ssrc for media in remote.media for ssrc in media.heard()]
        self._check = self._binding_request(remote, controlling or remote.lite)
        self.socket.connect(remote.candidates[0])
        try:
            async with asyncio.timeout(within):
                await self._until_reachable()
                await self._until_keys()
        except TimeoutError:
            stage = "DTLS" if self._reachable.is_set() else "ICE"
            raise PeerFailed(f"{self.name}: no {stage} within {within:.0f} s") from None
        except (SSL.Error, OSError) as error:
            raise PeerFailed(f"{self.name}: {error!r}") from error

    def now_hears(self, remote: sdp.Remote) -> None:
        """The other side described itself anew over the same transport."""
        self.heard = [ssrc for media in remote.media for ssrc in media.heard()]

    def consent(self) -> None:
        """Tell the other side that we are still here (RFC 7675)."""
        self._send(self._check)

    def report(self) -> None:
        """Send receiver reports on everything heard."""
        for compound in rtp.receiver_reports(self.report_ssrc, self.heard, "bench"):
            self.send_rtcp(compound)

    def send_rtcp(self, compound: bytes) -> None:
        self._send(self.keys.send.protect_rtcp(compound))

    def pause_reading(self) -> None:
        """Leave what comes in the socket, for somebody else to read."""
        self._loop.remove_reader(self.socket.fileno())

    def resume_reading(self) -> None:
        self._loop.add_reader(self.socket.fileno(), self._readable)

    def close(self) -> None:
        if self.socket.fileno() < 0:
            return
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()

    async def _until_reachable(self) -> None:
        while not self._reachable.is_set():
            self._send(self._check)
            try:
                async with asyncio.timeout(_CHECK_EVERY):
                    await self._reachable.wait()
            except TimeoutError:
                continue

    async def _until_keys(self) -> None:
        self._handshake = Handshake(self._identity)
        self._send_all(self._handshake.step())
        while not self._ready.is_set():
            try:
                async with asyncio.timeout(_CHECK_EVERY):
                    await self._ready.wait()
            except TimeoutError:
                if self._handshake is not None:
                    self._send_all(self._handshake.repeat())

    def _readable(self) -> None:
        for _ in range(_READS_A_TURN):
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            except ConnectionError:  # an ICMP error of an earlier send
                continue
            self._received(data)

    def _received(self, data: bytes) -> None:
        if not data:
            return
        first = data[0]
        if first < 4:
            self._received_stun(data)
        elif 20 <= first < 64:
            self._received_dtls(data)
        elif 128 <= first < 192 and len(data) > 1:
            if 192 <= data[1] < 224:
                self._received_rtcp(data)
            else:
                self._received_rtp(data)

    def _received_stun(self, data: bytes) -> None:
        if self._reachable.is_set() and data[0] == 1:
            return  # an answer to `consent`: nothing left to learn
        message = stun.parse_message(data)
        if message.message_class is stun.Class.REQUEST:
            self._answer_check(message)
        elif message.message_class is stun.Class.RESPONSE:
            self._reachable.set()

    def _answer_check(self, request: stun.Message) -> None:
        remote = self._remote
        if remote is None or not remote.candidates:
            return
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"XOR-MAPPED-ADDRESS": remote.candidates[0]},
        )
        response.add_message_integrity(self.local.password.encode())
        self._send(bytes(response))

    def _received_dtls(self, data: bytes) -> None:
        if self._handshake is None:
            return
        self._send_all(self._handshake.step(data))
        if self._handshake.keys is not None:
            self._keys = self._handshake.keys
            self._handshake = None  # its memory is the largest part of a peer
            self._ready.set()

    def _received_rtcp(self, data: bytes) -> None:
        if self._keys is None or not self.keyframes_tracked:
            return
        compound = self._keys.receive.unprotect_rtcp(data)
        self.keyframes_wanted.update(rtp.keyframe_requests(compound))

    def _received_rtp(self, data: bytes) -> None:
        self.rtp_received += 1
        self.frames_received += data[1] >> 7
        if not self.sampled or self._keys is None:
            return
        try:
            self._keys.receive.unprotect(data)
        except SrtpError:
            return  # looked at again, and counted, when it is sampled

    def _binding_request(self, remote: sdp.Remote, controlling: bool) -> bytes:
        attributes: dict[str, object] = {
            "USERNAME": f"{remote.ufrag}:{self.local.ufrag}",
            "PRIORITY": _CHECK_PRIORITY,
        }
        if controlling:
            attributes["ICE-CONTROLLING"] = secrets.randbits(64)
            attributes["USE-CANDIDATE"] = None
        else:
            attributes["ICE-CONTROLLED"] = secrets.randbits(64)
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes=attributes,
        )
        request.add_message_integrity(remote.password.encode())
        return bytes(request)

    def _send(self, datagram: bytes) -> None:
        try:
            self.socket.send(datagram)
        except (BlockingIOError, ConnectionError):
            return  # as lost as in a network

    def _send_all(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self._send(datagram)


class Upkeep:
    """What connected clients do besides media: consent checks and receiver reports, spread over time.

    Peers may be added while it runs.
    """

    _TURN = 0.05

    def __init__(
        self, peers: list[Peer], report_every: float, consent_every: float = _CONSENT_EVERY
    ) -> None:
        self._peers = peers
        self._report_every = report_every
        self._consent_every = consent_every
        self.reporting = True
        """Off while a server has no turn: then only consent goes on."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return

    def check(self) -> None:
        """Raise what ended it, if something did: without upkeep servers drop their clients."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def _run(self) -> None:
        started = time.monotonic()
        while True:
            before = time.monotonic() - started
            await asyncio.sleep(self._TURN)
            after = time.monotonic() - started
            for index, peer in enumerate(self._peers):
                if not peer.connected:
                    continue
                phase = index / len(self._peers)
                reports = self.reporting and not peer.reports_itself
                if reports and _due(before, after, self._report_every, phase):
                    peer.report()
                if _due(before, after, self._consent_every, phase):
                    peer.consent()


def _due(before: float, after: float, every: float, phase: float) -> bool:
    """Whether a tick of the period `every`, shifted by `phase` of it, lies in (before, after]."""
    return math.floor(after / every - phase) > math.floor(before / every - phase)
