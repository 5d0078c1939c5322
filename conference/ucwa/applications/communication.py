"""What an application says of the communication that it can take part in."""

from __future__ import annotations

from schemas.events import Event
from schemas.terms import Term
from schemas.wire import Wire


class AudioPreference(Term):
    PHONE = "PhoneAudio"
    VOIP = "VoipAudio"


class GenericPolicy(Term):
    NONE = "None"
    DISABLED = "Disabled"
    ENABLED = "Enabled"


class MessageFormat(Term):
    PLAIN = "Plain"
    HTML = "Html"


class IncomingModality(Term):
    AUDIO = "Audio"
    VIDEO = "Video"
    PHONE_AUDIO = "PhoneAudio"
    APPLICATION_SHARING = "ApplicationSharing"
    MESSAGING = "Messaging"
    DATA_COLLABORATION = "DataCollaboration"
    PANORAMIC_VIDEO = "PanoramicVideo"


class Communication(Wire, frozen=True, kw_only=True):
    """What an application says of itself: how it wants to be reached."""

    supported_modalities: tuple[IncomingModality, ...] = ()
    supported_message_formats: tuple[MessageFormat, ...] = ()
    audio_preference: AudioPreference = AudioPreference.VOIP
    phone_number: str = ""
    conversation_history: GenericPolicy = GenericPolicy.DISABLED


class CommunicationChanged(Event, frozen=True, kw_only=True, tag="UCWA_COMMUNICATION_CHANGED"):
    communication: Communication
