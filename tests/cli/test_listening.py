import socket

import pytest

from cosystream.cli.listening import listening
from cosystream.errors import ConfigError


def test_it_listens_from_the_start_to_the_end() -> None:
    with listening("127.0.0.1", 0, longest_wait_seconds=30) as (opened,):
        address = opened.getsockname()
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


@pytest.mark.parametrize(
    ("addresses", "hosts"),
    [
        (["127.0.0.2", "127.0.0.3"], ["127.0.0.2", "127.0.0.3"]),
        (["2001:db8::1", "127.0.0.2"], ["127.0.0.2"]),  # an address of nobody, RFC 3849
    ],
)
def test_a_name_is_listened_to_at_all_the_addresses_that_this_machine_has(
    addresses: list[str], hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [socket.getaddrinfo(each, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0] for each in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)  # names are the machine's
    with listening("several", 0, longest_wait_seconds=30) as opened:
        assert [each.getsockname()[0] for each in opened] == hosts


def test_a_connection_is_asked_whether_it_is_still_there() -> None:
    with listening("127.0.0.1", 0, longest_wait_seconds=7.5) as (opened,), socket.socket() as client:
        client.connect(opened.getsockname())
        connection, _ = opened.accept()
        with connection:
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7500
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 8


@pytest.mark.parametrize("longest_wait_seconds", [0.001, 1e6])
def test_any_time_will_do(longest_wait_seconds: float) -> None:
    with listening("127.0.0.1", 0, longest_wait_seconds):
        pass


def test_a_port_that_another_has_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"^port {port} is in use; --port N takes another$"),
            listening("127.0.0.1", port, longest_wait_seconds=30),
        ):
            pass


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nohost.invalid", "host is 'nohost.invalid': "),
        ("a..b", "host is 'a..b': no such name; "),
        ("x" * 100, "no such name; --host takes a name or an address of this machine"),
        ("192.0.2.1", r"cannot listen on 192.0.2.1:50001: "),  # an address of nobody, RFC 5737
        ("2001:db8::1", r"cannot listen on \[2001:db8::1\]:50001: "),
    ],
)
def test_a_host_that_is_not_this_machine_is_named(host: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words), listening(host, 50001, longest_wait_seconds=30):
        pass
