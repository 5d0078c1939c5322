"""The fragments and passwords under which one client and we check each other, and which of its checks are new."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Literal

from sfu.wire.address import Address

TRANSACTIONS = 64
"""Of a client's checks that are remembered."""

Freshness = Literal["new", "again", "replayed"]


class Credentials:
    """Ours come in eras, one for each ICE restart, the first of which is 1."""

    def __init__(self) -> None:
        self.ufrag = ""
        self.password = ""
        self.era = 0
        self.remote = "", ""
        """The client's fragment and password; empty until its description is there."""
        self._former: tuple[tuple[str, str, int], ...] = ()
        """Fragments, passwords and eras that are good besides ours."""
        self._transactions: OrderedDict[bytes, Address] = OrderedDict()
        self.renew()

    def renew(self) -> None:
        """An ICE restart (RFC 8445 section 9): the former ones stay good until the client nominates with the new."""
        if self.ufrag:
            self._former += ((self.ufrag, self.password, self.era),)
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self.era += 1

    def adopt(self, ufrag: str, password: str) -> None:
        self.ufrag, self.password, self._former = ufrag, password, ()

    @property
    def ufrags(self) -> list[str]:
        return [*self.former, self.ufrag]

    @property
    def former(self) -> list[str]:
        return [ufrag for ufrag, _, _ in self._former]

    def drop_former(self) -> None:
        self._former = ()

    def password_of(self, ufrag: str) -> str | None:
        if ufrag == self.ufrag:
            return self.password
        return next((password for former, password, _ in self._former if former == ufrag), None)

    def era_of(self, ufrag: str) -> int:
        return next((era for former, _, era in self._former if former == ufrag), self.era)

    def restarts(self, ufrag: str, password: str) -> bool:
        """Whether a client's description with these restarts ICE: both are others then (RFC 8839 section 4.4)."""
        known_ufrag, known_password = self.remote
        return bool(known_ufrag) and ufrag != known_ufrag and password != known_password

    def freshness(
        self, transaction: bytes, address: Address, answered_at: Address | None
    ) -> Freshness:
        """Of an authentic check. `again`: it comes a second time from the same address, as if it had been lost.

        `answered_at`: where the packet path has answered one with this id.
        """
        known = self._transactions.get(transaction, answered_at)
        if known is not None:
            return "again" if known == address else "replayed"
        self._transactions[transaction] = address
        if len(self._transactions) > TRANSACTIONS:
            self._transactions.popitem(last=False)
        return "new"
