"""The one entrance to the rules: which rule answers which command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from conference.domain import (
    access_list,
    admission,
    arrange,
    leaving,
    lifecycle,
    media,
    waiting_room,
)
from conference.domain.meeting import Change, Command, Meeting
from conference.domain.moderation import moderation_told

# A rule takes the one command type it is filed under, which a dict's type cannot say: hence Any.
Rule = Callable[[Meeting, Any, datetime], Change]

RULES: dict[type[Command], Rule] = {
    lifecycle.Start: lifecycle.start,
    lifecycle.Stop: lifecycle.stop,
    lifecycle.Delete: lifecycle.delete,
    lifecycle.Expire: lifecycle.expire,
    lifecycle.StopUnused: lifecycle.stop_unused,
    arrange.Arrange: arrange.arrange,
    admission.Join: admission.join,
    leaving.Leave: leaving.leave,
    waiting_room.UpdateQueued: waiting_room.update_queued,
    waiting_room.TimeOut: waiting_room.time_out,
    leaving.Eject: leaving.eject,
    leaving.ChannelGone: leaving.channel_gone,
    leaving.ChannelsGone: leaving.channels_gone,
    access_list.SetMember: access_list.set_member,
    access_list.RemoveMember: access_list.remove_member,
    media.Place: media.place,
    media.Relocate: media.relocate,
    media.SetAudio: media.set_audio,
    media.SwitchOn: media.switch_on,
    media.SwitchOff: media.switch_off,
    media.AudioUp: media.audio_up,
    media.VideoUp: media.video_up,
    media.AudioLost: media.audio_lost,
    media.VideoLost: media.video_lost,
}


def decide(meeting: Meeting, command: Command, now: datetime) -> Change:
    """The state that follows and what to tell whom. Raises a DomainError when the rules refuse."""
    after, told = RULES[type(command)](meeting, command, now)
    return after, [*told, *moderation_told(meeting, after, now)]
