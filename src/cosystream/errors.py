"""Everything that can go wrong, in one short tree: the caller's fault, come back later, ours."""

from typing import ClassVar


class CosystreamError(Exception):
    """The root. ``type`` is the word that callers see and may rely on."""

    type: ClassVar[str]


# The caller's fault: the same request would fail again.


class CallerError(CosystreamError):
    """A request that cannot be served as it stands."""

    type = "invalid_request"


class InvalidRequest(CallerError):
    """Well-formed fields that ask for what cannot be done, or a body that is not what it claims to be."""

    def __init__(self, problem: str, *, field: str | None = None) -> None:
        super().__init__(problem if field is None else f"{field}: {problem}")
        self.field = field


class InvalidField(CallerError):
    """A field that is missing, unknown, of the wrong type or out of range."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Unauthorized(CallerError):
    """No key, or none that fits, where keys are configured."""

    type = "unauthorized"


class UnknownVoice(CallerError):
    """A speaker that the engine does not have."""

    type = "unknown_voice"


class VoiceExists(CallerError):
    """A name for a new voice that another has."""

    type = "voice_exists"


class TooManyVoices(CallerError):
    """A new voice, where there are as many as there may be."""

    type = "too_many_voices"


class UnknownRequest(CallerError):
    """A request id that names nothing in flight, or a route that does not exist."""

    type = "unknown_request"


class TextTooLong(CallerError):
    """More text than one request may hold."""

    type = "text_too_long"


class UploadTooLarge(CallerError):
    """More bytes than one request may hold."""

    type = "upload_too_large"


# Come back later: the same request can succeed.


class TryLater(CosystreamError):
    """A request refused for now. ``retry_after_seconds`` says when it is worth another try."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(TryLater):
    """The queue is full, or listeners already served would stutter."""

    type = "overloaded"


class RateLimited(TryLater):
    """More than one caller may ask for in so short a time."""

    type = "rate_limited"


class NotReady(TryLater):
    """The engine is still loading, or being rebuilt."""

    type = "not_ready"


class ShuttingDown(TryLater):
    """The server is going away."""

    type = "shutting_down"


# Ours.


class SynthesisFailed(CosystreamError):
    """This request could not be spoken; others go on."""

    type = "synthesis_failed"


class NotKept(CosystreamError):
    """What is to be kept cannot be written, or not be removed."""

    type = "storage_failed"


class Cancelled(CosystreamError):
    """Somebody has asked for the end of this request."""

    type = "cancelled"


class Stalled(CosystreamError):
    """No audio for too long, more audio than the text can be, or a listener who stopped reading."""

    type = "timeout"


class ConfigError(CosystreamError):
    """A setting that cannot be used. The process says so and does not start."""

    type = "config"


class CheckpointError(ConfigError):
    """A model's folder, or a file in it, that cannot be used; the message names the file."""

    type = "checkpoint"
