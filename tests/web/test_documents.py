"""What the pages for users say, against what the code does."""

import ast
import builtins
import re
from pathlib import Path

import msgspec
import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute

from cosystream.audio.formats import FORMATS, MEDIA_TYPES
from cosystream.config import Settings
from cosystream.errors import CosystreamError
from cosystream.web.app import create_app
from cosystream.web.errors import STATUS
from cosystream.web.middleware import RequestLog
from cosystream.wire.fields import ALIASES, RequestFields
from cosystream.wire.openai import SpeechFields
from tests.support.engines import ScriptedEngine

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text("utf-8")
COMPATIBLE = (ROOT / "docs" / "compatible.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {"docs/api.md": API, "docs/compatible.md": COMPATIBLE, "README.md": README}
DOCS = ("api", "architecture", "benchmarks", "compatible", "models", "tensorrt")
HIDDEN = {"/player/{name}", "/api-ws/v1/inference/"}
"""Parts of a page, and another way to write a path."""


def routes() -> list[BaseRoute]:
    app = create_app(ScriptedEngine(), Settings())
    assert isinstance(app, RequestLog)
    return app._app.routes  # type: ignore[attr-defined,no-any-return]


PATHS = sorted({r.path for r in routes() if isinstance(r, Route | WebSocketRoute)} - HIDDEN)


@pytest.mark.parametrize("path", PATHS)
def test_every_route_is_described(path: str) -> None:
    assert re.search(rf"[` ]{re.escape(path)}[`?\s/]", API + COMPATIBLE), f"{path} stands on neither page"


@pytest.mark.parametrize(("page", "text"), PAGES.items())
def test_no_route_is_described_that_does_not_exist(page: str, text: str) -> None:
    described = re.findall(r"`(?:GET|POST|DELETE|WS)(?:, `?(?:GET|POST))* (/[\w/{}.-]*)", text)
    known = set(PATHS) | {path.replace("{request_id}", "{id}") for path in PATHS}
    assert described, page
    assert {path for path in described if path not in known} == set()


def row(name: str, page: str) -> str:
    """The row of a table that is about ``name``."""
    rows = [line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
    assert rows, f"no row about {name}"
    return rows[0]


@pytest.mark.parametrize("field", [*(field.name for field in msgspec.structs.fields(RequestFields)), *ALIASES])
def test_every_field_of_a_request_has_a_row(field: str) -> None:
    assert row(field, API)


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(SpeechFields)])
def test_every_field_of_openais_has_a_row(field: str) -> None:
    assert row(field, COMPATIBLE)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_has_a_row_with_its_media_type(format_: str) -> None:
    rows = [line for line in API.splitlines() if line.startswith("|") and f"`{format_}`" in line.split("|")[1]]
    assert any(f"`{MEDIA_TYPES[format_]}`" in line for line in rows)  # type: ignore[index]


@pytest.mark.parametrize(("error", "status"), STATUS.items())
def test_every_error_has_a_row_with_its_status(error: type[CosystreamError], status: int) -> None:
    rows = [line.split("|") for line in API.splitlines() if re.match(r"\| \d{3}", line)]
    assert any(str(status) in cells[1] and f"`{error.type}`" in cells[2] for cells in rows)


@pytest.mark.parametrize("page", [*PAGES, "docs/models.md", "docs/benchmarks.md", "examples/README.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def snippets(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_a_program_on_a_page_uses_no_name_that_it_has_not_made(page: str) -> None:
    assert snippets(PAGES[page])
    for snippet in snippets(PAGES[page]):
        nodes = list(ast.walk(ast.parse(snippet)))
        made = {(name.asname or name.name).split(".")[0] for node in nodes for name in getattr(node, "names", [])}
        made |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert used <= made | set(dir(builtins)), snippet


@pytest.mark.parametrize("page", PAGES)
def test_what_a_program_on_a_page_imports_is_installed_or_named(page: str) -> None:
    for snippet in snippets(PAGES[page]):
        for module in re.findall(r"^(?:import|from) (\w+)", snippet, re.MULTILINE):
            assert module in {"httpx", "cosystream"} or f"pip install {module}" in PAGES[page], module


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in DOCS), "examples/README.md"])
def test_a_command_to_be_typed_is_found_without_a_path_of_ones_own(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^ *```\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    bare = [line for block in blocks for line in block.splitlines() if re.match(r" *(cosystream|pytest|python) ", line)]
    assert bare == []


def test_how_long_a_recording_may_be_is_told_the_same_everywhere() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from cosystream.engines.cosyvoice.library import MIN_SECONDS as MIN_KEPT_SECONDS
    from cosystream.engines.cosyvoice.prompts import GOOD_LENGTH, MAX_SECONDS, MIN_SECONDS

    in_request, kept = f"{MIN_SECONDS:g} to {MAX_SECONDS:g} s", f"{MIN_KEPT_SECONDS:g} to {MAX_SECONDS:g} s"
    assert GOOD_LENGTH.startswith("3 to 10 seconds")
    request, voice = (line for line in API.splitlines() if line.startswith("| `prompt_wav`"))
    assert f"of {in_request}, best of 3 to 10" in request
    assert f"of {kept}, best of 3 to 10" in voice
    models = " ".join((ROOT / "docs" / "models.md").read_text("utf-8").split())
    assert f"of {in_request}, best of 3 to 10" in models
    assert f"those of {MIN_KEPT_SECONDS:g} s or more" in models
    words = (ROOT / "src" / "cosystream" / "web" / "player" / "english.js").read_text("utf-8")
    assert f"{kept}econds, 3 to 10 are best" in words


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_a_page_names_exists(page: str) -> None:
    names = set(re.findall(r"`--([a-z][a-z-]+)", PAGES[page]))
    known = {field.name.replace("_", "-") for field in msgspec.structs.fields(Settings)}
    of_commands = {"help", "model", "server", "play", "hub", "into"}
    assert names <= known | of_commands
