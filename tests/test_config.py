import argparse
import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from cosystream.config import OPENAI_NAMES, ApiKeys, OpenAISpeakers, Origins, Settings, add_flags, load_settings
from cosystream.cores import usable_cores
from cosystream.errors import ConfigError

NAMES = [field.name for field in msgspec.structs.fields(Settings)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty working folder."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


def load(flags: Mapping[str, str] | None = None, **environ: str) -> Settings:
    return load_settings(flags or {}, environ)


def refusal(flags: Mapping[str, str] | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, **environ)
    return str(caught.value)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser


# Where settings come from


def test_with_nothing_said_the_defaults_hold() -> None:
    assert load() == Settings()
    assert load(HOME="/nowhere", PATH="/bin", MY_COSYSTREAM_PORT="1") == Settings()


def test_each_source_is_stronger_than_the_one_before(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1\nmax_queue = 1\nmax_streams = 1")
    settings = load({"port": "3"}, COSYSTREAM_PORT="2", COSYSTREAM_MAX_QUEUE="2")
    assert (settings.port, settings.max_queue, settings.max_streams) == (3, 2, 1)


def test_a_named_file_is_read_instead_of_the_one_in_the_working_folder(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1\nmax_queue = 1")
    (folder / "first.toml").write_text("port = 2")
    (folder / "second.toml").write_text("port = 3")
    assert load(COSYSTREAM_CONFIG="first.toml") == Settings(port=2)
    assert load({"config": "second.toml"}, COSYSTREAM_CONFIG="first.toml") == Settings(port=3)


def test_a_setting_given_as_its_default_is_still_given(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1\ndefault_speaker = 'bob'")
    assert load({"port": "50000", "default_speaker": ""}) == Settings()


def test_a_file_says_everything_in_its_own_types(folder: Path) -> None:
    (folder / "cosystream.toml").write_text(
        """
        host = "127.0.0.1"
        max_body_bytes = 1_000_000
        cache_dir = "~/voices"
        api_keys = ["one", "two"]
        log_level = "debug"
        default_speaker = "英文女"
        """
    )
    assert load() == Settings(
        host="127.0.0.1",
        max_body_bytes=1_000_000,
        cache_dir=Path.home() / "voices",
        api_keys=ApiKeys(["one", "two"]),
        log_level="debug",
        default_speaker="英文女",
    )


# What is refused


def test_an_unknown_variable_is_refused() -> None:
    assert refusal(COSYSTREAM_PROT="1") == (
        "environment: there is no setting COSYSTREAM_PROT; the closest is COSYSTREAM_PORT"
    )
    assert refusal(COSYSTREAM_CONFG="x.toml") == (
        "environment: there is no setting COSYSTREAM_CONFG; the closest is COSYSTREAM_CONFIG"
    )
    assert refusal(COSYSTREAM_port="1") == (
        "environment: there is no setting COSYSTREAM_port; the closest is COSYSTREAM_PORT"
    )


def test_an_unknown_flag_is_refused() -> None:
    assert refusal({"max_que": "1"}) == "command line: there is no setting --max-que; the closest is --max-queue"


def test_an_unknown_name_in_a_file_is_refused(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("drain_seconds = 3")
    assert refusal() == "cosystream.toml: there is no setting drain_seconds; the closest is drain_ms"


def test_a_name_that_nothing_is_close_to_gets_no_wrong_hint(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("xyzzy = 3")
    words = "there is no setting {}; cosystream serve --help lists them"
    assert refusal() == f"cosystream.toml: {words.format('xyzzy')}"
    assert refusal(COSYSTREAM_XYZZY="1") == f"environment: {words.format('COSYSTREAM_XYZZY')}"
    assert refusal({"xyzzy": "1"}) == f"command line: {words.format('--xyzzy')}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", "65536", "--port is '65536'; a whole number from 0 to 65535 would do"),
        ("port", "http", "--port is 'http'; a whole number from 0 to 65535 would do"),
        ("port", "", "--port is ''; a whole number from 0 to 65535 would do"),
        ("max_queue", "-1", "--max-queue is '-1'; a whole number, 0 or more would do"),
        ("max_streams", "0", "--max-streams is '0'; a whole number, 1 or more would do"),
        ("max_streams", "1.5", "--max-streams is '1.5'; a whole number, 1 or more would do"),
        ("host", "", "--host is ''; any text that is not empty would do"),
        ("log_level", "loud", "--log-level is 'loud'; debug, info, warning or error would do"),
        ("cache_dir", "~nobody-of-this-name/x", "--cache-dir is '~nobody-of-this-name/x'; a path would do"),
    ],
)
def test_a_value_that_will_not_do_is_refused(name: str, value: str, message: str) -> None:
    assert refusal({name: value}) == f"command line: {message}"


def test_a_refusal_names_the_source_as_it_is_written_there(folder: Path) -> None:
    assert refusal(COSYSTREAM_DRAIN_MS="10s") == (
        "environment: COSYSTREAM_DRAIN_MS is '10s'; a whole number, 0 or more would do"
    )
    (folder / "my.toml").write_text("host = 4\ndrain_ms = '10'")
    assert refusal({"config": "my.toml"}) == "my.toml: host is 4; any text that is not empty would do"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("port = '80'", "port is '80'; a whole number from 0 to 65535 would do"),
        ("port = true", "port is True; a whole number from 0 to 65535 would do"),
        ("default_speaker = 1", "default_speaker is 1; any text would do"),
        ("cache_dir = 1", "cache_dir is 1; a path would do"),
    ],
)
def test_a_file_is_held_to_its_own_types(folder: Path, line: str, problem: str) -> None:
    (folder / "cosystream.toml").write_text(line)
    assert refusal() == f"cosystream.toml: {problem}"


def test_a_file_that_is_not_there_is_refused() -> None:
    assert refusal({"config": "missing.toml"}) == "missing.toml: No such file or directory"
    assert refusal(COSYSTREAM_CONFIG=".") == ".: Is a directory"


def test_an_empty_name_of_a_file_is_none(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1")
    assert load(COSYSTREAM_CONFIG="").port == 1


def test_a_file_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("default_speaker = '中文女'", encoding="utf-8-sig")
    assert load().default_speaker == "中文女"


def test_a_file_that_is_no_toml_is_refused(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1\nhost: everywhere")
    assert refusal() == "cosystream.toml: Expected '=' after a key in a key/value pair (at line 2, column 5)"
    (folder / "cosystream.toml").write_bytes(b"host = '\xff'")
    assert refusal().startswith("cosystream.toml: 'utf-8' codec can't decode byte 0xff in position 8")


# Keys


@pytest.mark.parametrize(("text", "keys"), [("", []), ("one", ["one"]), ("one, two", ["one", "two"])])
def test_keys_are_separated_by_commas(text: str, keys: list[str]) -> None:
    assert load(COSYSTREAM_API_KEYS=text).api_keys == tuple(keys)


@pytest.mark.parametrize("line", ["' '", "'s3cret,'", "['s3cret', '']", "[7]", "0", "false", "{s3cret = 1}"])
def test_what_might_open_the_service_by_mistake_is_refused_without_being_shown(folder: Path, line: str) -> None:
    (folder / "cosystream.toml").write_text(f"api_keys = {line}")
    assert refusal() == (
        "cosystream.toml: api_keys is a hidden value; keys, none of them empty, with commas between them would do"
    )


def test_keys_never_show_themselves(caplog: pytest.LogCaptureFixture) -> None:
    settings = load({"api_keys": "s3cret,s3same"})
    logging.getLogger("test").warning("%s %r", settings, settings.api_keys)
    shown = f"{settings} {settings!r} {settings.api_keys} {[settings.api_keys]} {caplog.text}"
    assert "s3" not in shown
    assert "api_keys=<2 hidden>" in shown


# Voices of OpenAI


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("alloy=中文女", [("alloy", "中文女")]),
        ("echo = 中文男 , alloy=a=b", [("echo", "中文男"), ("alloy", "a=b")]),
    ],
)
def test_openais_voices_are_pairs_separated_by_commas(text: str, pairs: list[tuple[str, str]]) -> None:
    assert load(COSYSTREAM_OPENAI_VOICES=text).openai_voices == OpenAISpeakers(pairs)
    assert load({"openai_voices": text}).openai_voices == OpenAISpeakers(pairs)


def test_openais_voices_are_a_table_in_a_file(folder: Path) -> None:
    (folder / "cosystream.toml").write_text("port = 1\n[openai_voices]\nalloy = '中文女'\necho = '中文男'", "utf-8")
    assert load().openai_voices == OpenAISpeakers([("alloy", "中文女"), ("echo", "中文男")])
    (folder / "cosystream.toml").write_text("openai_voices = 'alloy=中文女'", "utf-8")
    assert load().openai_voices == OpenAISpeakers([("alloy", "中文女")])


@pytest.mark.parametrize("text", ["alloy", "alloy=", "=中文女", "bob=中文女", "alloy=a,alloy=b", "alloy=a,"])
def test_a_voice_that_openai_has_not_or_nobody_is_refused(text: str) -> None:
    assert refusal({"openai_voices": text}) == (
        f"command line: --openai-voices is {text!r}; NAME=SPEAKER with commas between them, or in a file a table, "
        f"for names of {', '.join(OPENAI_NAMES)} would do"
    )


@pytest.mark.parametrize("value", ["7", "true", "['alloy']", "{alloy = 7}", "{alloy = ' '}", "{bob = '中文女'}"])
def test_a_file_too_may_name_nobody_else(folder: Path, value: str) -> None:
    (folder / "cosystream.toml").write_text(f"openai_voices = {value}", "utf-8")
    assert refusal().startswith("cosystream.toml: openai_voices is ")


# Origins


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        ("https://example.org, http://localhost:8000", ["https://example.org", "http://localhost:8000"]),
        ("*", ["*"]),
        ("null,app://page", ["null", "app://page"]),
    ],
)
def test_origins_are_separated_by_commas(text: str, origins: list[str]) -> None:
    assert load({"cors_origins": text}).cors_origins == Origins(origins)


@pytest.mark.parametrize("text", ["https://example.org/", "example.org", "https://", "https://Example.org", "a,", "**"])
def test_an_origin_that_no_browser_sends_is_refused(text: str) -> None:
    assert refusal({"cors_origins": text}) == (
        f"command line: --cors-origins is {text!r}; origins, SCHEME://HOST or SCHEME://HOST:PORT in lower case, "
        "or * or null, with commas between them would do"
    )


# What follows from settings


def test_no_number_of_threads_takes_the_cores_this_process_may_use() -> None:
    assert Settings(num_threads=3).threads == 3
    assert Settings().threads == usable_cores()


def test_the_cache_is_where_the_desktop_standard_says() -> None:
    assert load().cache_dir == Path.home() / ".cache" / "cosystream"
    assert load(XDG_CACHE_HOME="").cache_dir == Path.home() / ".cache" / "cosystream"
    assert load(XDG_CACHE_HOME="/var/cache").cache_dir == Path("/var/cache/cosystream")
    assert load({"cache_dir": "here"}, XDG_CACHE_HOME="/var/cache").cache_dir == Path("here")


# Flags


@pytest.mark.parametrize("name", [*NAMES, "config"])
def test_help_explains_every_setting(name: str) -> None:
    words = " ".join(parser().format_help().split())
    assert f"--{name.replace('_', '-')} " in words
    assert f"COSYSTREAM_{name.upper()}]" in words


def test_help_keeps_settings_apart_from_other_options() -> None:
    before, settings = parser().format_help().split("\nsettings:\n")
    assert all(f"--{name.replace('_', '-')} " in settings for name in NAMES)
    assert "\n  --" not in before


def test_help_gives_meaning_range_default_and_variable() -> None:
    words = " ".join(parser().format_help().split())
    assert (
        "--port N port to listen on; 0 takes a free one "
        "[a whole number from 0 to 65535; default: 50000; COSYSTREAM_PORT]"
    ) in words
    assert (
        "--default-speaker TEXT voice of requests that name none; else the engine's own [any text; COSYSTREAM" in words
    )


def test_only_flags_that_were_given_are_collected() -> None:
    assert parser().parse_args([]).flags == {}
    assert parser().parse_args(["--max-queue", "8", "--config=a.toml"]).flags == {"max_queue": "8", "config": "a.toml"}


def test_flags_work_below_a_command() -> None:
    outer = argparse.ArgumentParser()
    commands = outer.add_subparsers(dest="command")
    add_flags(commands.add_parser("serve"))
    assert outer.parse_args(["serve", "--port", "0"]).flags == {"port": "0"}
    assert outer.parse_args(["serve"]).flags == {}


def test_collected_flags_become_settings() -> None:
    given = parser().parse_args(["--engine", "tone", "--port", "0", "--api-keys", "s3cret"]).flags
    assert load_settings(given, {}) == Settings(engine="tone", port=0, api_keys=ApiKeys(["s3cret"]))
