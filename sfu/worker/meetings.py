"""The meetings that are placed on this worker, and what their epochs allow.

The API side raises a meeting's epoch with every placement. A command of an older epoch comes from a process
that has not heard of the newest one and is refused; a newer epoch ends what was here before.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from uuid import UUID

import structlog

from schemas.sfu import (
    CloseMeeting,
    Command,
    Done,
    Failed,
    Held,
    HeldMeeting,
    OpenMeeting,
    RemovePeer,
    Report,
    Result,
    SetAudio,
    StopVideo,
)
from sfu.session.connection import Media
from sfu.session.session import NoticeBody, Session, SessionCommand
from sfu.worker.allowance import Allowance

FORGET_IDLE_US = 600_000_000
"""A meeting without any connection for so long is forgotten; the next command opens it again."""
CLOSED_KEPT = 4096
REPORTED_AT_ONCE = 500
"""Entries of one page of a report, a meeting or a user each: about a millisecond of everybody's media."""
CLOSE_AT_ONCE_US = 2_000
"""What closing a meeting may take of the loop before the rest waits for the next ticks."""

log = structlog.get_logger(__name__)


class Meetings:
    """`notify` takes each session's notices."""

    def __init__(self, media: Media, notify: Callable[[Session, NoticeBody], None]) -> None:
        self.draining = False
        self._media = media
        self._allowance = Allowance()
        self._notify = notify
        self._sessions: dict[UUID, Session] = {}
        self._ending: deque[Session] = deque()
        self._closed: OrderedDict[UUID, int] = OrderedDict()
        """Epochs of meetings that were closed by command: a repeated or late command may not open them again."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def execute(self, command: Command) -> Result:
        if isinstance(command.body, Report):
            return self._report(command.body.after)
        if isinstance(command.body, CloseMeeting):
            return self._close(command.meeting, command.epoch)
        refusal = self._outdated(command.meeting, command.epoch)
        if refusal is not None:
            return refusal
        session = self._sessions.get(command.meeting)
        if session is None and isinstance(command.body, RemovePeer | StopVideo):
            return Done()
        if session is None and self.draining:
            return Failed(code="draining", reason="this worker takes no new meeting")
        session = session or self._open(command.meeting, command.epoch)
        if isinstance(command.body, OpenMeeting):
            return Done()
        return self._allowed(session, command.body)

    def _allowed(self, session: Session, body: SessionCommand) -> Result:
        """Carry it out, unless the participant has taken too much of everybody's time. What closes is always done."""
        now = self._media.now_us()
        closes = isinstance(body, RemovePeer | StopVideo)
        mutes = isinstance(body, SetAudio) and not body.enabled
        seconds = self._allowance.wait(body.user, now)
        if seconds and not closes and not mutes:
            reason = f"this participant asks for too much; try again in {seconds} seconds"
            return Failed(code="too_many", reason=reason)
        began = self._media.cpu_us()
        try:
            return session.handle(body)
        finally:
            self._allowance.spend(body.user, self._media.cpu_us() - began, now)

    def close_some(self, until_us: int) -> bool:
        """Go on closing meetings that have ended, as long as there is time; whether some are left."""
        while self._ending:
            if self._ending[0].close_some(until_us):
                return True
            self._ending.popleft()
        return False

    def forget_idle(self, now_us: int) -> None:
        self._allowance.forget_paid(now_us)
        for session in self:
            if now_us - session.idle_since_us > FORGET_IDLE_US:
                self._drop(session)

    def close(self) -> None:
        """At once, all that is held."""
        for session in [*self._ending, *self._sessions.values()]:
            session.close()
        self._ending.clear()
        self._sessions.clear()

    def _report(self, after: int) -> Held:
        page = list(islice(self._entries(), after, after + REPORTED_AT_ONCE))
        meetings = [
            HeldMeeting(
                meeting=session.meeting,
                epoch=session.epoch,
                users=session.held([user for _, user in entries if user is not None]),
            )
            for session, entries in groupby(page, key=lambda entry: entry[0])
        ]
        full = len(page) == REPORTED_AT_ONCE
        return Held(meetings=meetings, next=after + len(page) if full else None)

    def _entries(self) -> Iterator[tuple[Session, UUID | None]]:
        """Each meeting itself, and then those who have anything in it."""
        for session in self._sessions.values():
            yield session, None
            for user in session.users:
                yield session, user

    def _outdated(self, meeting: UUID, epoch: int) -> Failed | None:
        """Refuse an older epoch; a newer one closes the session of the former."""
        if epoch <= self._closed.get(meeting, -1):
            return Failed(code="stale_epoch", reason="the meeting was closed")
        session = self._sessions.get(meeting)
        if session is None or session.epoch == epoch:
            return None
        if epoch < session.epoch:
            return Failed(code="stale_epoch", reason=f"the meeting is at epoch {session.epoch}")
        self._drop(session)
        return None

    def _open(self, meeting: UUID, epoch: int) -> Session:
        log.info("meeting_opened", meeting_id=str(meeting), epoch=epoch)

        def notify(body: NoticeBody) -> None:
            self._notify(session, body)

        session = Session(meeting, epoch, self._media, notify)
        self._sessions[meeting] = session
        return session

    def _close(self, meeting: UUID, epoch: int) -> Result:
        session = self._sessions.get(meeting)
        if session is not None and epoch < session.epoch:
            return Failed(code="stale_epoch", reason=f"the meeting is at epoch {session.epoch}")
        if session is not None:
            self._drop(session)
        self._closed[meeting] = max(epoch, self._closed.get(meeting, epoch))
        self._closed.move_to_end(meeting)
        if len(self._closed) > CLOSED_KEPT:
            self._closed.popitem(last=False)
        return Done()

    def _drop(self, session: Session) -> None:
        log.info("meeting_closed", meeting_id=str(session.meeting), epoch=session.epoch)
        del self._sessions[session.meeting]
        session.end()
        self._ending.append(session)
        self.close_some(self._media.now_us() + CLOSE_AT_ONCE_US)
