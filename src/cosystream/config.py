"""Every setting of the server, declared once: the only code that reads files, flags and the environment."""

import argparse
import difflib
import re
import tomllib
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from cosystream.cores import usable_cores
from cosystream.errors import ConfigError

DEFAULT_FILE = Path("cosystream.toml")

LogLevel = Literal["debug", "info", "warning", "error"]
Precision = Literal["auto", "float32", "bfloat16"]
LMPrecision = Literal["auto", "float32", "bfloat16", "int8"]
PromptAlign = Literal["trim", "official"]
FinalHop = Literal["causal", "official"]
FlowBackend = Literal["torch", "tensorrt"]

OPENAI_NAMES = tuple("alloy ash ballad coral echo fable nova onyx sage shimmer verse marin cedar".split())
"""The voices that clients of OpenAI's API ask for."""


class ApiKeys(tuple[str, ...]):
    """The keys that open the service, any of which will do; without any it is open. They never show themselves."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} hidden>"


class OpenAISpeakers(tuple[tuple[str, str], ...]):
    """For some of OPENAI_NAMES, in pairs, the speakers that they are."""

    __slots__ = ()


class Origins(tuple[str, ...]):
    """Whose web pages may call the service from a browser, besides its own."""

    __slots__ = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server is told when it starts: for each setting its type, range, help text and default."""

    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "0.0.0.0"  # noqa: S104 - a server
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 50000
    engine: Annotated[str, Meta(min_length=1, description="what speaks: auto, cosyvoice, kokoro or tone")] = "auto"
    model: Annotated[str, Meta(min_length=1, description="a checkpoint's folder, or auto")] = "auto"
    voices_dir: Annotated[
        Path, Meta(description="folder of recordings to learn voices from: NAME.wav, and its words in NAME.txt")
    ] = Path("pretrained_models/voices")
    cache_dir: Annotated[
        Path, Meta(description="folder for what is made once and kept; else cosystream in $XDG_CACHE_HOME or ~/.cache")
    ] = field(default_factory=lambda: _cache_dir({}))
    num_threads: Annotated[int, Meta(ge=0, description="threads that compute; 0 takes every core it may use")] = 0
    precision: Annotated[
        Precision, Meta(description="of a checkpoint's matrix products; auto is what is fast here")
    ] = "auto"
    lm_precision: Annotated[LMPrecision, Meta(description="of those in the language model; auto is as precision")] = (
        "auto"
    )
    first_hop: Annotated[
        int, Meta(ge=0, le=24, description="speech tokens of a first hop before its block is full; 0 waits for that")
    ] = 8
    flow_steps: Annotated[
        int, Meta(ge=1, le=50, description="of the flow's solver; other than 10 is not what the reference computes")
    ] = 10
    flow_window: Annotated[
        int, Meta(ge=0, description="seconds that the flow looks back beyond its prompt; 0 is all, and exact")
    ] = 0
    prompt_align: Annotated[
        PromptAlign, Meta(description="trim: at most a second less of a prompt, for an earlier first hop")
    ] = "trim"
    final_hop: Annotated[
        FinalHop,
        Meta(description="official: the last hop is solved anew, all frames seeing all, as the reference does"),
    ] = "causal"
    flow_memory_mb: Annotated[
        int, Meta(ge=0, description="for what the flow keeps of its streams; 0 is a share of what is free")
    ] = 0
    flow_backend: Annotated[FlowBackend, Meta(description="what runs the flow's estimator")] = "torch"
    max_text_chars: Annotated[int, Meta(ge=1, description="longest text of one request")] = 4096
    max_body_bytes: Annotated[int, Meta(ge=1, description="largest body of one request")] = 16 * 1024 * 1024
    max_streams: Annotated[int, Meta(ge=1, description="streams open at once, being computed or listened to")] = 256
    max_queue: Annotated[int, Meta(ge=0, description="jobs that may wait; one more is told to come back")] = 64
    max_wait_ms: Annotated[int, Meta(ge=0, description="a request that would wait longer is told to come back")] = (
        60_000
    )
    max_voices: Annotated[int, Meta(ge=0, description="voices learnt from recordings; 0 lets nobody upload one")] = 100
    uploads_per_hour: Annotated[
        int, Meta(ge=1, description="recordings that one key, or without keys one address, may upload as voices")
    ] = 60
    buffer_seconds: Annotated[
        int, Meta(ge=1, description="audio computed ahead of a slow reader before its job is paused")
    ] = 120
    reader_timeout_ms: Annotated[int, Meta(ge=1, description="end a listener that takes nothing for so long")] = 30_000
    idle_flush_ms: Annotated[
        int, Meta(ge=1, description="what is written of a text is spoken after so long without more of it")
    ] = 1_000
    stall_timeout_ms: Annotated[
        int, Meta(ge=1, description="end a job that keeps its listener waiting for so long")
    ] = 10_000
    drain_ms: Annotated[int, Meta(ge=0, description="from SIGTERM to exit; listeners may finish until then")] = 10_000
    api_keys: Annotated[
        ApiKeys, Meta(description="keys that open the service, which is open without any; a flag would show in ps")
    ] = ApiKeys()
    cors_origins: Annotated[
        Origins,
        Meta(description="whose web pages may call, such as https://example.org; * is anybody's, null those of files"),
    ] = Origins()
    log_level: Annotated[LogLevel, Meta(description="least severe lines to log")] = "info"
    default_speaker: Annotated[str, Meta(description="voice of requests that name none; else the engine's own")] = ""
    openai_voices: Annotated[
        OpenAISpeakers,
        Meta(description="whom OpenAI's voice names are, as alloy=中文女,echo=中文男; else chosen by gender"),
    ] = OpenAISpeakers()

    @property
    def threads(self) -> int:
        """``num_threads``, or as many as there are cores that this process may use."""
        return self.num_threads or usable_cores()


_KINDS: dict[str, Any] = {setting.name: setting.type for setting in msgspec.structs.fields(Settings)}


def load_settings(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Settings from, each stronger than the one before: defaults, a TOML file, ``COSYSTREAM_*`` variables, flags.

    ``flags`` are those that ``add_flags`` has collected, by name (``{"max_queue": "8"}``). The file is the one that
    ``config`` names, or else ``cosystream.toml`` in the working folder if there is one. Raises ConfigError for a file
    that cannot be read, a name that is no setting and a value that will not do.
    """
    variables = {name: value for name, value in environ.items() if name.startswith("COSYSTREAM_")}
    if not variables.get(_variable("config")):  # empty is none, rather than the working folder
        variables.pop(_variable("config"), None)
    options = {_option(name): value for name, value in flags.items()}
    kinds = _KINDS | {"config": Annotated[Path, Meta()]}
    given = _read("environment", variables, _variable, kinds, strict=False)
    given |= _read("command line", options, _option, kinds, strict=False)
    path = given.pop("config", DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    in_file = {} if path is None else _read(str(path), _parse(path), str, _KINDS, strict=True)
    return Settings(**{"cache_dir": _cache_dir(environ)} | in_file | given)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One ``--flag`` for ``config`` and each setting; those given are in ``parse_args().flags``, for load_settings."""
    parser.set_defaults(flags={})
    file_help = f"a TOML file of settings [default: {DEFAULT_FILE} where it is; {_variable('config')}]"
    group = parser.add_argument_group("settings")
    group.add_argument("--config", action=_Collect, metavar="PATH", help=file_help)
    for setting in msgspec.structs.fields(Settings):
        kind, meta = typing.get_args(setting.type)
        default = "" if setting.default in (msgspec.NODEFAULT, "", ()) else f"default: {setting.default}; "
        group.add_argument(
            _option(setting.name),
            action=_Collect,
            metavar="N" if kind is int else "PATH" if kind is Path else "TEXT",
            help=f"{meta.description} [{_would_do(setting.type)}; {default}{_variable(setting.name)}]",
        )


class _Collect(argparse.Action):
    """Puts a flag's value into ``flags`` by the setting's name."""

    def __init__(self, option_strings: Sequence[str], dest: str, metavar: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, metavar=metavar, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        namespace.flags = {**namespace.flags, self.dest: values}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"COSYSTREAM_{name.upper()}"


def _cache_dir(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cosystream"


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # of TOML or of UTF-8
        raise ConfigError(f"{path}: {error}") from error


def _read(
    source: str, values: Mapping[str, object], spell: Callable[[str], str], kinds: Mapping[str, Any], *, strict: bool
) -> dict[str, Any]:
    """The settings of one source, by name. ``spell`` writes a name as it is written there."""
    names = {spell(name): name for name in kinds}
    settings: dict[str, Any] = {}
    for written, value in values.items():
        name = names.get(written)
        if name is None:
            raise ConfigError(f"{source}: there is no setting {written}; {_hint(written, spell, kinds)}")
        try:
            settings[name] = msgspec.convert(value, kinds[name], strict=strict, dec_hook=_build)
        except (msgspec.ValidationError, RuntimeError) as error:  # RuntimeError: ~stranger has no home folder
            shown = "a hidden value" if name == "api_keys" else repr(value)
            raise ConfigError(f"{source}: {written} is {shown}; {_would_do(kinds[name])} would do") from error
    return settings


def _hint(written: str, spell: Callable[[str], str], names: Collection[str]) -> str:
    """What may be meant, where a name is close: not by the beginning that all of them have there."""
    close = difflib.get_close_matches(written.removeprefix(spell("")).lower(), names, n=1)
    return f"the closest is {spell(close[0])}" if close else "cosystream serve --help lists them"


def _build(kind: type, value: Any) -> object:  # noqa: ANN401 - whatever a file may hold
    """The types that msgspec leaves to us. Raises what it turns into a ValidationError."""
    if kind is Path:
        return Path(value).expanduser()
    if kind is OpenAISpeakers:
        return _openai_speakers(value)
    if isinstance(value, str):
        value = value.split(",") if value else []
    if kind is Origins:
        return _origins(msgspec.convert(value, list[str]))
    keys = ApiKeys(key.strip() for key in msgspec.convert(value, list[str]))
    if not all(keys):
        raise ValueError("an empty key")  # else a stray comma would open the service
    return keys


def _origins(written: Sequence[str]) -> Origins:
    """As browsers write them: no path, not even a slash, and no upper case."""
    origins = Origins(origin.strip() for origin in written)
    if not all(re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/?#@A-Z]+", origin) for origin in origins):
        raise ValueError("an origin that no browser sends")
    return origins


def _openai_speakers(value: Any) -> OpenAISpeakers:  # noqa: ANN401 - whatever a file may hold
    if isinstance(value, str):
        pairs = [pair.partition("=")[::2] for pair in value.split(",")] if value else []
    else:
        pairs = list(msgspec.convert(value, dict[str, str]).items())
    speakers = OpenAISpeakers((name.strip(), speaker.strip()) for name, speaker in pairs)
    names = {name for name, speaker in speakers if speaker}
    if len(names) < len(speakers) or not names <= set(OPENAI_NAMES):
        raise ValueError("a name twice or none of OpenAI's, or nobody to be it")
    return speakers


def _would_do(kind: Any) -> str:  # noqa: ANN401 - an annotation
    """What a value may be, in words."""
    base, meta = typing.get_args(kind)
    if base is int and meta.le is None:
        return f"a whole number, {meta.ge} or more"
    if base is int:
        return f"a whole number from {meta.ge} to {meta.le}"
    if base is Path:
        return "a path"
    if base is ApiKeys:
        return "keys, none of them empty, with commas between them"
    if base is Origins:
        return "origins, SCHEME://HOST or SCHEME://HOST:PORT in lower case, or * or null, with commas between them"
    if base is OpenAISpeakers:
        return f"NAME=SPEAKER with commas between them, or in a file a table, for names of {', '.join(OPENAI_NAMES)}"
    if base is str:
        return "any text" if meta.min_length is None else "any text that is not empty"
    *others, last = typing.get_args(base)
    return f"{', '.join(others)} or {last}"
