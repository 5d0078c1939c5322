"""A participant's audio connection: the microphone, and the slots in which it hears others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

import msgspec

from schemas.sfu import Loss
from sfu.path.interface import LegSpec, Source, UnknownStream
from sfu.path.streams import Leg, Track
from sfu.sdp.answers import Accepted, Published, answer_audio, extension_map, payload_type_map
from sfu.sdp.remote import RemoteDescription
from sfu.session.connection import Answering, Media, new_ssrc
from sfu.session.publication import learn, track_spec
from sfu.transport.peer import Peer


class AudioListener(Protocol):
    def audio_connected(self, audio: AudioConnection) -> None: ...

    def audio_lost(self, audio: AudioConnection, reason: Loss) -> None: ...

    def slots_changed(self, audio: AudioConnection) -> None:
        """Its microphone or slots came or went; who is heard where has to be decided anew."""
        ...


class Slot(msgspec.Struct, kw_only=True, eq=False):
    """An audio m-line towards the client. `speaker`: whom it carries."""

    accepted: Accepted
    leg: Leg | None = None
    speaker: UUID | None = None


class AudioConnection:
    """`enabled` false: the microphone's packets reach nobody, whatever the client sends."""

    def __init__(self, media: Media, user: UUID, listener: AudioListener) -> None:
        self.user = user
        self.enabled = False
        self.track: Track | None = None
        self.published: Published | None = None
        self.slots: list[Slot] = []
        self._media = media
        self._listener = listener
        self._answering = Answering(media)

    def offer(self, remote: RemoteDescription, *, enabled: bool) -> str:
        """Answer the client's first or renewed offer. Raises ValueError, changing nothing."""
        known = {slot.accepted.mid: slot.accepted.ssrc for slot in self.slots}
        answer = answer_audio(remote, known, self._media.cname, new_ssrc)
        replaced = self._answering.replaces(answer.carried.transport)
        text = self._answering.answer(
            self, answer.carried, answer.sections, mixed=remote.mixed_extensions
        )
        if replaced or answer.published != self.published:
            self._drop_track()
        self.published = answer.published
        self._replace_slots(answer.slots, replaced=replaced)
        self._set_up()
        self.set_enabled(enabled)
        return text

    def set_enabled(self, enabled: bool) -> None:
        self.enabled = enabled
        if self.track is not None:
            self._media.streams.mute(self.track, not enabled)
        self._listener.slots_changed(self)

    def hear(self, slot: Slot, speaker: AudioConnection | None) -> None:
        """Put a speaker into a slot, or leave it silent."""
        slot.speaker = speaker.user if speaker else None
        if slot.leg is not None:
            source = self._source(slot, speaker) if speaker else None
            self._media.streams.set_source(slot.leg, source, self._media.now_us())

    def close(self) -> None:
        self._drop_track()
        self._replace_slots([], replaced=True)
        self._answering.close()

    # PeerOwner

    def peer_connected(self, peer: Peer) -> None:
        # Under other keys than before everything begins anew.
        self._drop_track()
        self._drop_legs(self.slots)
        self._set_up()
        self._listener.audio_connected(self)
        self._listener.slots_changed(self)

    def peer_lost(self, peer: Peer, reason: Loss) -> None:
        self.close()
        self._listener.audio_lost(self, reason)

    def unknown_stream(self, peer: Peer, stream: UnknownStream) -> None:
        if learn(self._media.streams, self.published, self.track, stream):
            self._add_track(stream.ssrc)
            self._listener.slots_changed(self)

    # TrackListener

    def track_started(self) -> None:
        """Nothing is told: a microphone counts from the moment it is connected."""

    # inside

    def _set_up(self) -> None:
        self._add_track()
        transport = self._answering.transport
        if transport is None:
            return
        for slot in self.slots:
            if slot.leg is None:
                spec = LegSpec(transport=transport, kind="audio", ssrc=slot.accepted.ssrc)
                slot.leg = self._media.streams.add_leg(spec)

    def _add_track(self, learned: int | None = None) -> None:
        if self.track is not None or self._answering.transport is None or self.published is None:
            return
        ssrc = self.published.ssrc or learned
        if ssrc is None:
            return
        spec = track_spec(self._answering.transport, "audio", self.published, ssrc)
        self.track = self._media.streams.add_track(
            spec, self, reduced_size=self.published.reduced_size
        )
        self._media.streams.mute(self.track, not self.enabled)

    def _drop_track(self) -> None:
        if self.track is not None:
            self._media.streams.remove_track(self.track)
            self.track = None

    def _replace_slots(self, accepted: list[Accepted], *, replaced: bool) -> None:
        former = {} if replaced else {slot.accepted.ssrc: slot for slot in self.slots}
        dropped = set(self.slots)
        kept: list[Slot] = []
        for item in accepted:
            # The leg goes on with its SSRC: SRTP would refuse a second beginning of its sequence numbers.
            slot = former.get(item.ssrc, Slot(accepted=item))
            slot.accepted = item
            dropped.discard(slot)
            kept.append(slot)
        self._drop_legs(dropped)
        self.slots = kept

    def _drop_legs(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            if slot.leg is not None:
                self._media.streams.remove_leg(slot.leg)
                slot.leg = None

    def _source(self, slot: Slot, speaker: AudioConnection) -> Source | None:
        if speaker.track is None or speaker.published is None:
            return None
        payload_types = payload_type_map(speaker.published, slot.accepted)
        if not payload_types:
            return None
        return Source(
            track=speaker.track.number,
            payload_types=payload_types,
            extensions=extension_map(speaker.published, slot.accepted),
        )
