"""What happens to requests on helper threads, before the worker hears of them."""

import logging
from functools import partial
from typing import TypeVar

from cosystream.errors import CosystreamError, Stalled, SynthesisFailed
from cosystream.runtime.helpers import Helpers
from cosystream.runtime.protocol import EngineCore
from cosystream.types import SynthesisRequest

P = TypeVar("P")
logger = logging.getLogger(__name__)

TEXTS_AT_ONCE = 2


class Preparing:
    """Texts, and apart from them recordings, which take a hundred times as long."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest_seconds = longest_seconds
        self._texts, self._recordings = Helpers(TEXTS_AT_ONCE), Helpers(1)

    async def prepare(self, core: EngineCore[P], request: SynthesisRequest) -> P:
        """Raises CallerError for what the core cannot say, Stalled and SynthesisFailed."""
        helpers = self._texts if request.prompt is None else self._recordings
        try:
            return await helpers.call(partial(core.prepare, request), longest_seconds=self._longest_seconds)
        except TimeoutError:
            raise Stalled(f"the text was not prepared within {self._longest_seconds:g} s") from None
        except CosystreamError:
            raise
        except Exception as error:
            logger.exception("preparing a text failed")
            raise SynthesisFailed("the engine could not prepare this text; the server's log says why") from error
