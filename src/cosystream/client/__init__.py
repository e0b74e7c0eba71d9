"""A server asked from Python: ``Client`` where code may block, ``AsyncClient`` on an event loop."""

from cosystream.client.aio import AsyncClient, AsyncSpeech
from cosystream.client.audio import Audio, Chunk
from cosystream.client.errors import BrokenOff, Unreachable
from cosystream.client.hearing import Event
from cosystream.client.sync import Client, Speech
from cosystream.types import Prompt
from cosystream.wire.native import Done, Queued, Sentence, Start
from cosystream.wire.voices import VoiceEntry, VoiceList

__all__ = [
    "AsyncClient",
    "AsyncSpeech",
    "Audio",
    "BrokenOff",
    "Chunk",
    "Client",
    "Done",
    "Event",
    "Prompt",
    "Queued",
    "Sentence",
    "Speech",
    "Start",
    "Unreachable",
    "VoiceEntry",
    "VoiceList",
]
