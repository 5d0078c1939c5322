"""One DTLS association of a client and the addresses that it goes by, from its first datagram on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sfu.transport.dtls import Association, Certificate
from sfu.wire.address import Address

YIELDS_AFTER_US = 1_000_000
"""A handshake that has not got on for so long makes room for one that another ClientHello begins."""


class Attempt:
    """`send` says whether as much may be sent to the address now (`sfu.transport.pairs`)."""

    def __init__(
        self, certificate: Certificate, send: Callable[[bytes, Address], bool], now_us: int
    ) -> None:
        self.association = Association(certificate, self._write)
        self.address: Address | None = None
        """From where the client's last datagram came, and where ours go."""
        self.first: Address | None = None
        """Where something was sent first."""
        self.task: asyncio.Task[None] | None = None
        self.got_on_us = now_us
        self._random = b""
        self._heard = False
        self._strayed = False
        self._held = b""
        self._send = send

    def greet(self, random: bytes, now_us: int) -> bool:
        """Take a ClientHello with this random for it, if it has none yet; whether it is for it."""
        if not self._random:
            self._random, self.got_on_us = random, now_us
        return self._random == random

    def greeted_with(self, random: bytes) -> bool:
        return self._random == random

    def yields(self, now_us: int) -> bool:
        return now_us - self.got_on_us > YIELDS_AFTER_US

    def came_from(self, address: Address) -> None:
        self.address = address
        self._heard = True
        self.release()

    def follow(self, address: Address | None) -> None:
        """Where to send as long as nothing has come."""
        if not self._heard and address is not None:
            self.address = address

    def proves(self, address: Address | None) -> bool:
        """Whether the client, once the handshake is over, must have got there what was sent."""
        return address is not None and address == self.first and not self._strayed

    def release(self) -> None:
        """More may be sent now."""
        if self._held:
            self._write(self._held)

    def drop(self, *, farewell: bool) -> None:
        task, self.task = self.task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._held = b""
        self.association.close(farewell=farewell)

    def _write(self, data: bytes) -> None:
        """What may not be sent yet waits; only the newest: DTLS repeats the rest."""
        self._held = b""
        if self.address is None or not self._send(data, self.address):
            self._held = data
            return
        self.first = self.first or self.address
        self._strayed = self._strayed or self.address != self.first
