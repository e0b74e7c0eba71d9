"""The sockets on which a server listens, opened before anything that takes long."""

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from cosystream.errors import ConfigError

logger = logging.getLogger(__name__)

NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Why an address cannot be had where a name has others: localhost is one of IPv6, too, which may be switched off."""


@contextmanager
def listening(host: str, port: int, longest_wait_seconds: float) -> Iterator[list[socket.socket]]:
    """A socket for each address of ``host`` that this machine has. Raises ConfigError where there is none to be had.

    Connections inherit that they are closed where the other machine is silent for longer than that.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty, or too long
        reason = getattr(error, "strerror", None) or "no such name"
        raise ConfigError(f"host is {host!r}: {reason}; --host takes a name or an address of this machine") from None
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        for number, (family, *_, address) in enumerate(found, 1):
            try:
                opened.append(stack.enter_context(socket.create_server(address, family=family)))
            except OSError as error:
                if error.errno not in NOT_HERE or (number == len(found) and not opened):
                    raise _refusal(address, error) from None
        for each in opened:
            _end_silent_connections(each, longest_wait_seconds)
            logger.info("listening on http://%s:%d", spelled(each.getsockname()[0]), each.getsockname()[1])
        yield opened


def spelled(host: str) -> str:
    """``host`` as it is written in a URL."""
    return f"[{host}]" if ":" in host else host


def _refusal(address: tuple[Any, ...], error: OSError) -> ConfigError:
    host, port = address[:2]
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {port} is in use; --port N takes another")
    reason = os.strerror(error.errno or 0)
    return ConfigError(f"cannot listen on {spelled(host)}:{port}: {reason}; --host and --port take others")


def _end_silent_connections(opened: socket.socket, longest_wait_seconds: float) -> None:
    """A connection that has been closed stays until its reader has read it, or until the first of these options; one
    whose client has lost power stays until something is sent to it, which is what the others see to."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        seconds = min(max(1, round(longest_wait_seconds)), 32767)  # the most there is
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * longest_wait_seconds))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)
