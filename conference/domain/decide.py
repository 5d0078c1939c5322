"""The one entrance to the rules: which rule answers which command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from conference.domain import admission, lifecycle, media, online_meeting
from conference.domain.meeting import Change, Command, Meeting

# A rule takes the one command type it is filed under, which a dict's type cannot say: hence Any.
Rule = Callable[[Meeting, Any, datetime], Change]

RULES: dict[type[Command], Rule] = {
    lifecycle.Start: lifecycle.start,
    lifecycle.Stop: lifecycle.stop,
    lifecycle.Delete: lifecycle.delete,
    lifecycle.Expire: lifecycle.expire,
    online_meeting.Arrange: online_meeting.arrange,
    admission.Join: admission.join,
    admission.Leave: admission.leave,
    admission.UpdateQueued: admission.update_queued,
    admission.Eject: admission.eject,
    admission.ChannelGone: admission.channel_gone,
    admission.SetMember: admission.set_member,
    admission.RemoveMember: admission.remove_member,
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
    return RULES[type(command)](meeting, command, now)
