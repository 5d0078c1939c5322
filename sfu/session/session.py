"""One meeting at this worker: its participants' connections, and who gets what of whom.

Every entry point is synchronous and runs to its end on the worker's event loop, which thus owns the session:
commands, the peers' news and the clock's ticks come one after the other and find it in a whole state.

What closes what, each step idempotent: a meeting closes its participants; a participant closes its four
connections; a connection drops its tracks and legs and closes its peer; a peer closes the path's transport
(with whatever tracks and legs are left), gives up its credentials and addresses, and says goodbye by DTLS.
Upwards goes only `peer_lost`: the connection is forgotten, a ConnectionLost notice goes out, and viewers
of what is gone get a new offer.

Wherever something is done for all participants, one for whom it fails is passed over (`sfu/guard.py`), and the
others get theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, KeysView, Mapping
from uuid import UUID

from schemas import sfu as wire
from schemas.descriptions import ANSWER
from schemas.sfu import Feed, HeldUser, OfferedStream, VideoKind
from sfu.path.interface import Levels
from sfu.sdp.remote import parse
from sfu.session.audio import AudioConnection
from sfu.session.connection import Media
from sfu.session.listeners import Listeners
from sfu.session.publication import Publication
from sfu.session.speakers import Speakers
from sfu.session.viewer import Inbound

NoticeBody = (
    wire.Offered
    | wire.AudioConnected
    | wire.VideoLive
    | wire.ConnectionLost
    | wire.Talking
    | wire.FeedPaused
)
Result = wire.Done | wire.Answered | wire.Failed
SessionCommand = (
    wire.OfferAudio
    | wire.OfferVideo
    | wire.StopVideo
    | wire.SetAudio
    | wire.Subscribe
    | wire.AnswerInbound
    | wire.RemovePeer
)

FILL_AT_ONCE_US = 2_000
"""What a change of speakers may take of the loop before the other listeners wait for the next ticks."""
MAX_AWAITED = 200
"""Subscriptions of one viewer beyond the feeds that there are: to those that may come."""

_TOO_MANY_FEEDS = f"that makes more subscriptions than there are videos and {MAX_AWAITED} besides; unsubscribe some"
_NOTHING_OF_THAT_CLIENT: Mapping[type[SessionCommand], Result] = {
    wire.StopVideo: wire.Done(),
    wire.RemovePeer: wire.Done(),
    wire.SetAudio: wire.Failed(code="no_session", reason="no audio connection"),
    wire.AnswerInbound: wire.Failed(code="no_session", reason="nothing was offered"),
}


class Session:
    """`notify` takes what the API side has to learn, in order."""

    def __init__(
        self, meeting: UUID, epoch: int, media: Media, notify: Callable[[NoticeBody], None]
    ) -> None:
        self.meeting = meeting
        self.epoch = epoch
        self.idle_since_us = media.now_us()
        self._media = media
        self._notify = notify
        self._audio: dict[UUID, AudioConnection] = {}
        self._publications: dict[Feed, Publication] = {}
        self._inbound: dict[UUID, Inbound] = {}
        self._clients: dict[UUID, UUID | None] = {}
        """Who has anything here, or had, until they are removed; and with which client."""
        self._ending: list[AudioConnection | Publication | Inbound] = []
        self._guard = media.guard
        self._speakers = Speakers()
        self._listeners = Listeners()
        self._behind: OrderedDict[UUID, None] = OrderedDict()
        """Viewers that have not been told yet that the live feeds changed, in order."""
        self._unfilled: OrderedDict[AudioConnection, None] = OrderedDict()
        """Listeners whose slots don't carry yet whom they are to hear, in order."""

    # commands

    def handle(self, command: SessionCommand) -> Result:
        """Carry out a command. A description that can't be accepted changes nothing."""
        try:
            return self._dispatch(command)
        except ValueError as error:
            return wire.Failed(code="bad_sdp", reason=str(error))

    def _dispatch(self, command: SessionCommand) -> Result:
        if isinstance(command, wire.OfferAudio | wire.OfferVideo | wire.Subscribe):
            self._let_in(command)
        elif self._is_anothers(command):
            return _NOTHING_OF_THAT_CLIENT[type(command)]
        match command:
            case wire.OfferAudio():
                return self._offer_audio(command)
            case wire.OfferVideo():
                return self._offer_video(command)
            case wire.StopVideo():
                return self._stop_video(Feed(command.user, command.kind))
            case wire.SetAudio():
                return self._set_audio(command)
            case wire.Subscribe():
                return self._subscribe(command)
            case wire.AnswerInbound():
                return self._answer_inbound(command)
            case wire.RemovePeer():
                return self._remove(command.user)

    def _let_in(self, command: wire.OfferAudio | wire.OfferVideo | wire.Subscribe) -> None:
        """From now on the user is here, with that client: what another one had is closed."""
        if self._is_anothers(command):
            self._remove(command.user)
        self._clients[command.user] = command.client or self._clients.get(command.user)

    def _is_anothers(self, command: SessionCommand) -> bool:
        """Whether what the user has here is a client's other than the one that the command is for."""
        present = self._clients.get(command.user)
        return None not in (present, command.client) and present != command.client

    def _offer_audio(self, command: wire.OfferAudio) -> Result:
        remote = parse(command.sdp)
        audio = self._audio.get(command.user)
        if audio is None:
            audio = AudioConnection(self._media, command.user, self)
        sdp = audio.offer(remote, enabled=command.enabled)
        self._audio[command.user] = audio
        return wire.Answered(sdp=sdp)

    def _offer_video(self, command: wire.OfferVideo) -> Result:
        remote = parse(command.sdp)
        feed = Feed(command.user, command.kind)
        publication = self._publications.get(feed)
        if publication is None:
            publication = Publication(self._media, feed, self)
        sdp = publication.offer(remote)
        publication.offered_us = self._media.now_us()
        self._publications[feed] = publication
        return wire.Answered(sdp=sdp)

    def _stop_video(self, feed: Feed) -> Result:
        publication = self._publications.pop(feed, None)
        if publication is not None:
            self._close(publication)
            self._feeds_changed()
        return wire.Done()

    def _set_audio(self, command: wire.SetAudio) -> Result:
        audio = self._audio.get(command.user)
        if audio is None:
            return wire.Failed(code="no_session", reason="no audio connection")
        audio.set_enabled(command.enabled)
        return wire.Done()

    def _subscribe(self, command: wire.Subscribe) -> Result:
        inbound = self._inbound.get(command.user)
        if self._too_many(inbound, command):
            return wire.Failed(code="limit", reason=_TOO_MANY_FEEDS)
        if inbound is None:
            inbound = self._inbound[command.user] = Inbound(self._media, command.user, self)
        inbound.subscribe(command.subscribe, command.unsubscribe)
        return wire.Done()

    def _too_many(self, inbound: Inbound | None, command: wire.Subscribe) -> bool:
        """Whether more would be waited for than anybody could mean. Who asks for no more is never refused."""
        most = len(self._publications) + MAX_AWAITED
        if len(command.subscribe) > most:
            return True  # without a look at each
        present = inbound.wanted.keys() if inbound else set[Feed]()
        added = set(command.subscribe) - present
        return bool(added) and len((present | added) - set(command.unsubscribe)) > most

    def _answer_inbound(self, command: wire.AnswerInbound) -> Result:
        inbound = self._inbound.get(command.user)
        if inbound is None:
            return wire.Failed(code="no_session", reason="nothing was offered")
        inbound.answer(parse(command.sdp, ANSWER))
        return wire.Done()

    def _remove(self, user: UUID) -> Result:
        self._clients.pop(user, None)
        kinds: tuple[VideoKind, ...] = ("video", "screen")
        for kind in kinds:
            self._stop_video(Feed(user, kind))
        if inbound := self._inbound.pop(user, None):
            self._close(inbound)
        if audio := self._audio.pop(user, None):
            self._close(audio)
            self.slots_changed(audio)
        return wire.Done()

    def close(self) -> None:
        """Close every connection. Nothing is told: who closes the meeting knows."""
        self.end()
        while self._ending:
            self._close(self._ending.pop())

    def end(self) -> None:
        """Nobody is here any more, and nothing is told; `close_some` closes what they had."""
        self._notify = _to_nobody
        self._ending += [
            *self._audio.values(),
            *self._publications.values(),
            *self._inbound.values(),
        ]
        self._inbound.clear()
        self._publications.clear()
        self._audio.clear()
        self._clients.clear()
        self._behind.clear()
        self._unfilled.clear()
        self._listeners.clear()

    def close_some(self, until_us: int) -> bool:
        """Close what an ended meeting has left, as much as there is time for; whether some is left.

        Nine thousand connections at once would hold up everybody else's media for a third of a second.
        """
        while self._ending and self._media.now_us() < until_us:
            self._close(self._ending.pop())
        return bool(self._ending)

    def _close(self, connection: AudioConnection | Publication | Inbound) -> None:
        with self._guard.over("closing"):
            connection.close()

    # what it holds

    @property
    def users(self) -> KeysView[UUID]:
        """Who has anything here, in order of coming."""
        return self._clients.keys()

    def held(self, users: Iterable[UUID]) -> list[HeldUser]:
        """What some of them have."""
        now = self._media.now_us()
        ages: dict[VideoKind, dict[UUID, float]] = {"video": {}, "screen": {}}
        for feed, publication in self._publications.items():
            ages[feed.kind][feed.user] = (now - publication.offered_us) / 1_000_000
        video, screen = ages["video"], ages["screen"]
        return [
            HeldUser(
                user=user,
                client=self._clients.get(user),
                audio=audio.enabled if (audio := self._audio.get(user)) else None,
                video=video.get(user) if video else None,
                screen=screen.get(user) if screen else None,
            )
            for user in users
        ]

    # the clock

    def catch_up(self, until_us: int) -> bool:
        """Bring speakers to listeners and changed feeds to viewers while there is time; whether some are left.

        One camera in a meeting of a hundred is a hundred offers, of a millisecond each: written in one go
        they would hold up everybody's media.
        """
        self._fill_some(until_us)
        while self._behind and self._media.now_us() < until_us:
            user, _ = self._behind.popitem(last=False)
            if inbound := self._inbound.get(user):
                with self._guard.over("viewing"):
                    inbound.update()
        return bool(self._behind or self._unfilled)

    def tick(self, now_us: int) -> None:
        for inbound in list(self._inbound.values()):
            with self._guard.over("viewing"):
                inbound.tick(now_us)
        if self._audio or self._publications or self._inbound:
            self.idle_since_us = now_us

    def heard(self, levels: Mapping[int, Levels], now_us: int) -> None:
        """Audio levels by track since the last look: who talks, and who is heard where."""
        by_user = {
            user: levels[audio.track.number]
            for user in self._speakers.microphones
            if (audio := self._audio.get(user)) and audio.track and audio.track.number in levels
        }
        for user, talking in self._speakers.hear(by_user, now_us):
            self._notify(wire.Talking(user=user, talking=talking))
        self._fill_slots(self._speakers.select(self._listeners.sizes))

    # what connections tell

    def audio_connected(self, audio: AudioConnection) -> None:
        self._notify(wire.AudioConnected(user=audio.user))

    def audio_lost(self, audio: AudioConnection, reason: wire.Loss) -> None:
        if self._audio.get(audio.user) is not audio:
            return
        del self._audio[audio.user]
        self._lost(audio.user, "audio", reason)
        self.slots_changed(audio)

    def slots_changed(self, audio: AudioConnection) -> None:
        # Thousands may listen: who only listens costs its own slots, and no look at the others.
        present = self._audio.get(audio.user) is audio
        resized = present and self._listeners.put(audio)
        if not present:
            self._listeners.drop(audio)
        opened_or_closed = self._follow_microphone(audio, present=present)
        changed: set[int] = set()
        if resized or opened_or_closed:
            changed = self._speakers.select(self._listeners.sizes)
        if self._speakers.chosen(audio.user):
            # Who hears it may have to be fed from another track now.
            changed = self._listeners.sizes
        self._fill_slots(changed)
        if present and len(audio.slots) not in changed:
            with self._guard.over("hearing"):
                self._fill(audio)

    def publication_live(self, publication: Publication) -> None:
        feed = publication.feed
        self._notify(wire.VideoLive(user=feed.user, kind=feed.kind))
        self._feeds_changed()

    def publication_lost(self, publication: Publication, reason: wire.Loss) -> None:
        feed = publication.feed
        if self._publications.get(feed) is not publication:
            return
        del self._publications[feed]
        self._lost(feed.user, feed.kind, reason)
        self._feeds_changed()

    def inbound_offered(self, inbound: Inbound, sdp: str, streams: list[OfferedStream]) -> None:
        self._notify(wire.Offered(user=inbound.user, sdp=sdp, streams=streams))

    def feed_paused(self, inbound: Inbound, feed: Feed, *, paused: bool) -> None:
        self._notify(wire.FeedPaused(user=inbound.user, feed=feed, paused=paused))

    def inbound_lost(self, inbound: Inbound, reason: wire.Loss) -> None:
        self._lost(inbound.user, "inbound", reason)

    def feeds(self) -> Mapping[Feed, Publication]:
        return {feed: item for feed, item in self._publications.items() if item.live}

    # inside

    def _feeds_changed(self) -> None:
        self._behind.update(dict.fromkeys(self._inbound))

    def _lost(self, user: UUID, connection: wire.Connection, reason: wire.Loss) -> None:
        self._notify(
            wire.ConnectionLost(
                user=user, connection=connection, reason=reason.value, code=reason.code
            )
        )

    def _follow_microphone(self, audio: AudioConnection, *, present: bool) -> bool:
        """Who can be heard is connected and not muted; whether that has changed."""
        can_be_heard = present and audio.enabled and audio.track is not None
        if can_be_heard == (audio.user in self._speakers.microphones):
            return False
        if can_be_heard:
            self._speakers.open(audio.user)
        elif self._speakers.close(audio.user):
            self._notify(wire.Talking(user=audio.user, talking=False))
        return True

    def _fill_slots(self, sizes: set[int]) -> None:
        """For listeners with so many slots: at once, unless they are so many that everybody's media would wait."""
        self._unfilled.update(dict.fromkeys(self._listeners.of(sizes)))
        self._fill_some(self._media.now_us() + FILL_AT_ONCE_US)

    def _fill_some(self, until_us: int) -> None:
        passing_over = self._guard.over("hearing")
        while self._unfilled and self._media.now_us() < until_us:
            audio, _ = self._unfilled.popitem(last=False)
            if self._audio.get(audio.user) is audio:
                with passing_over:
                    self._fill(audio)

    def _fill(self, audio: AudioConnection) -> None:
        present = [slot.speaker for slot in audio.slots]
        wanted = self._speakers.slots_for(audio.user, present)
        for slot, speaker in zip(audio.slots, wanted, strict=True):
            audio.hear(slot, self._audio[speaker] if speaker else None)


def _to_nobody(_: NoticeBody) -> None:
    return
