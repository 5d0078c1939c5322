"""The addresses at which one client can be reached, and which of them its media goes to. Pure.

| an address is | when |
|---|---|
| known | an authentic check has come from it |
| proven | the client has answered what was sent to it: a check of ours, or the handshake |
| selected | media goes there |

Whoever can see a check of a client can send it again from any address, and a client can write any address into what it
sends. So what is not proven gets at most three times what has come from it (the bound of RFC 9000 section 8.1), and
nothing moves there (RFC 8445 section 19.5.1).

| media moves to another proven address | when |
|---|---|
| nominated since the last move, under newer credentials than the selected one or as the only one | at once |
| nominated `IN_A_ROW` times, and the selected one not meanwhile | at once |
| any other | the selected one has been silent for `SILENCE_US`, and the other has shown twice since that it lives |

Each move of the last minute doubles the number and the silence that are asked for: two pairs that are nominated by
turns move it once, and a link that comes and goes does not make it flap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from sfu.wire.address import Address

AMPLIFICATION = 3
SILENCE_US = 2_000_000
IN_A_ROW = 1
"""Nominations of another pair that are enough for the first move in a minute."""
PROOF_HOLDS_US = 30_000_000
"""An address that is not in use has to be proven anew after so long, as consent has (RFC 7675 section 5.1)."""
RESTLESS_US = 10_000_000
"""Whoever has not been heard of for so long is not asked; clients check every few seconds."""
MINUTE_US = 60_000_000
MAX_MOVES = 5
"""In a minute."""
ASK_AGAIN_US = 500_000
MAX_ASKED = 7
"""Checks of ours to one address that have no answer (RFC 8489 section 6.2.1)."""
ASKED_A_MINUTE = 32
"""Checks of ours to one client, however many addresses it seems to have."""


class Pair(msgspec.Struct, eq=False):
    """One address. Bytes are those of UDP payloads, counted until it is proven."""

    address: Address
    proven_us: int = 0
    """0: never."""
    era: int = 0
    """Of the credentials under which it was nominated last; 0: never."""
    nominated_us: int = 0
    """The last nomination that the packet path has not taken."""
    in_a_row: int = 0
    """Nominations without one of the selected pair between them."""
    received: int = 0
    sent: int = 0
    heard_us: int = 0
    """The last sign of life that the packet path has not taken: a check, or an answer to ours."""
    before_us: int = 0
    """The last but one."""
    asked: int = 0
    asked_us: int = 0
    transaction: bytes = b""
    """Of our check that has no answer yet."""


class Pairs:
    """What the packet path has taken of the client's checks it tells when asked, 0 standing for never.

    `path_heard_us`: when something authentic last came from an address. `path_nominated_us`: when the selected one was
    last nominated.
    """

    def __init__(
        self, path_heard_us: Callable[[Address], int], path_nominated_us: Callable[[], int]
    ) -> None:
        self.selected: Address | None = None
        self.calm = False
        """Nothing is to be decided: there is one address, and it is proven."""
        self.settled = False
        """From the first association on. Before it, the handshake goes wherever the client last nominated."""
        self._pairs: dict[Address, Pair] = {}
        """In order of their last checks."""
        self._path_heard_us = path_heard_us
        self._path_nominated_us = path_nominated_us
        self._moves: deque[int] = deque(maxlen=MAX_MOVES)
        self._moved_us = 0
        self._asked: deque[int] = deque(maxlen=ASKED_A_MINUTE)

    @property
    def addresses(self) -> list[Address]:
        """In order of their last checks."""
        return list(self._pairs)

    def era(self, address: Address) -> int:
        pair = self._pairs.get(address)
        return pair.era if pair else 0

    def is_proven(self, address: Address) -> bool:
        pair = self._pairs.get(address)
        return pair is not None and pair.proven_us > 0

    def heard_us(self, address: Address) -> int:
        """When anything authentic last came from it; 0 if never."""
        pair = self._pairs.get(address)
        return self._heard(pair) if pair else 0

    # what comes in and goes out

    def checked(self, address: Address, era: int, now_us: int) -> bool:
        """An authentic check; `era` 0: without a nomination. Whether the address is a new one."""
        known = self._pairs.pop(address, None)
        pair = self._pairs[address] = known or Pair(address)
        _lives(pair, now_us)
        if era:
            self._nominate(pair, era, now_us)
        if not self.settled and (era or self.selected is None):
            self.selected = address
        self._look()
        return known is None

    def _nominate(self, pair: Pair, era: int, now_us: int) -> None:
        current = self._pairs.get(self.selected) if self.selected else None
        if current is not None and self._nominated(current) >= pair.nominated_us:
            pair.in_a_row = 0
        pair.in_a_row += 1
        pair.nominated_us = now_us
        pair.era = max(pair.era, era)

    def superfluous(self, most: int) -> Address | None:
        """Which one to forget, when they are too many: the one checked longest ago that is not in use."""
        if len(self._pairs) <= most:
            return None
        newest = next(reversed(self._pairs))
        kept = (newest, self.selected)
        return next(address for address in self._pairs if address not in kept)

    def forget(self, address: Address) -> None:
        self._pairs.pop(address, None)
        if self.selected == address:
            self.selected = None
        self._look()

    def received(self, address: Address, size: int) -> None:
        pair = self._pairs.get(address)
        if pair is not None:
            pair.received += size

    def spend(self, address: Address, size: int) -> bool:
        """Whether so many bytes may be sent there; they count as sent then."""
        pair = self._pairs.get(address)
        if pair is None:
            return False
        if not pair.proven_us and pair.sent + size > AMPLIFICATION * pair.received:
            return False
        pair.sent += size
        return True

    # proof

    def ask(self, address: Address, transaction: bytes, now_us: int) -> bytes:
        """The transaction id of the check that is to be sent there now, and counts as sent; none: b"".

        `transaction` is a new one; one that has no answer yet is sent again.
        """
        pair = self._pairs.get(address)
        if pair is None or self._holds(pair, now_us) or not self._may_ask(pair, now_us):
            return b""
        pair.transaction = pair.transaction or transaction
        pair.asked += 1
        pair.asked_us = now_us
        self._asked.append(now_us)
        return pair.transaction

    def _may_ask(self, pair: Pair, now_us: int) -> bool:
        if pair.asked >= MAX_ASKED or (pair.asked and now_us - pair.asked_us < ASK_AGAIN_US):
            return False
        return len(self._asked) < ASKED_A_MINUTE or now_us - self._asked[0] >= MINUTE_US

    def restless(self, now_us: int) -> list[Address]:
        """Addresses that were heard from lately and are not proven."""
        return [
            pair.address
            for pair in self._pairs.values()
            if not self._holds(pair, now_us) and now_us - pair.heard_us < RESTLESS_US
        ]

    def awaited(self, address: Address) -> bytes:
        """The transaction id of our check that the client has yet to answer from there; b"" if there is none."""
        pair = self._pairs.get(address)
        return pair.transaction if pair else b""

    def ask_anew(self) -> None:
        """The client has other credentials: what was asked under the former ones will have no answer."""
        for pair in self._pairs.values():
            pair.transaction, pair.asked = b"", 0

    def prove(self, address: Address, now_us: int) -> None:
        """The client has answered what was sent there."""
        pair = self._pairs.get(address)
        if pair is None:
            return
        if not pair.proven_us:
            # Later answers say no more than the check that led to the question.
            _lives(pair, now_us)
        pair.proven_us = now_us
        pair.transaction, pair.asked = b"", 0
        self._look()

    def _holds(self, pair: Pair, now_us: int) -> bool:
        """Whether its proof is good enough to move there, or it is in use and needs none."""
        if pair.proven_us and pair.address == self.selected:
            return True
        return pair.proven_us > 0 and now_us - pair.proven_us < PROOF_HOLDS_US

    # which one

    def settle(self, address: Address) -> None:
        """An association stands, by way of this address."""
        self.settled = True
        self.selected = address
        self._look()

    def move(self, now_us: int) -> bool:
        """Whether another address is selected now."""
        if not self.settled or (len(self._pairs) < 2 and self.selected is not None):
            return False
        current = self._pairs.get(self.selected) if self.selected else None
        able = [pair for pair in self._pairs.values() if self._succeeds(pair, current, now_us)]
        if not able:
            return False
        self.selected = max(able, key=lambda pair: (pair.era, self._heard(pair))).address
        self._moves.append(now_us)
        self._moved_us = now_us
        return True

    def _succeeds(self, pair: Pair, current: Pair | None, now_us: int) -> bool:
        if pair is current or not self._holds(pair, now_us):
            return False
        moves = sum(now_us - at < MINUTE_US for at in self._moves)
        if moves >= MAX_MOVES:
            return False
        if current is None:
            return True
        if pair.nominated_us > self._moved_us and pair.era > current.era:
            return True
        if pair.nominated_us > self._moved_us and pair.in_a_row >= IN_A_ROW << moves:
            return self._nominated(current) < pair.nominated_us
        silent_since = self._heard(current)
        if now_us - silent_since < SILENCE_US << moves:
            return False
        signs = (pair.before_us, pair.heard_us, self._path_heard_us(pair.address))
        return sum(at > silent_since for at in signs) >= 2

    def _look(self) -> None:
        one = next(iter(self._pairs.values())) if len(self._pairs) == 1 else None
        self.calm = one is not None and one.address == self.selected and one.proven_us > 0

    def _nominated(self, pair: Pair) -> int:
        by_path = self._path_nominated_us() if pair.address == self.selected else 0
        return max(pair.nominated_us, by_path)

    def _heard(self, pair: Pair) -> int:
        return max(pair.heard_us, self._path_heard_us(pair.address))


def _lives(pair: Pair, now_us: int) -> None:
    pair.before_us, pair.heard_us = pair.heard_us, now_us
