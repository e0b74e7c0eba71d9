"""The pages for people, as files: what is served, how, and to whom."""

import re
from importlib import resources

import pytest
from starlette.types import ASGIApp

from cosystream.config import ApiKeys, Settings
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.engines import ScriptedEngine

FOLDER = resources.files("cosystream.web") / "player"
FILES = sorted(item.name for item in FOLDER.iterdir())
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@pytest.fixture(name="app")
def _app() -> ASGIApp:
    return create_app(ScriptedEngine(), Settings())


def policy_of(answer: Answer) -> dict[str, str]:
    directives = (directive.split(" ", 1) for directive in answer.headers["content-security-policy"].split("; "))
    return dict(directives)


@pytest.mark.parametrize("target", ["/", "/docs"])
async def test_a_page_is_html_that_needs_nothing_from_elsewhere(app: ASGIApp, target: str) -> None:
    answer = await ask(app, "GET", target)
    page = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>cosystream</title>" in page
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert wanted
    for address in wanted:
        assert not re.match(r"\w+:|/", address), "relative, so that it works behind a prefix, too"
        assert (await ask(app, "GET", f"/{address.removeprefix('./')}")).status == 200 or address == "openapi.json"


@pytest.mark.parametrize("name", FILES)
async def test_every_file_has_its_type(app: ASGIApp, name: str) -> None:
    answer = await ask(app, "GET", f"/player/{name}")
    assert (answer.status, answer.body) == (200, (FOLDER / name).read_bytes())
    assert answer.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", ["/", "/docs", "/player/page.js"])
async def test_the_browser_is_told_to_trust_this_origin_alone(app: ASGIApp, target: str) -> None:
    policy = policy_of(await ask(app, "GET", target))
    assert policy["default-src"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".svg")])
def test_no_file_names_another_host_and_none_has_code_inside(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)
    assert not re.search(r"\sstyle=|\son\w+=|<script>|<style|innerHTML|eval\(", text)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_a_script_can_be_read_in_one_sitting(name: str) -> None:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) < 250
    assert lines[0].startswith("/**")


async def test_what_the_browser_has_is_not_sent_again(app: ASGIApp) -> None:
    first = await ask(app, "GET", "/player/page.js")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for sent in (etag, f"W/{etag}", f'"other", {etag}'):
        again = await ask(app, "GET", "/player/page.js", headers={"if-none-match": sent})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await ask(app, "GET", "/player/page.js", headers={"if-none-match": '"other"'})).status == 200
    assert (await ask(app, "GET", "/player/view.js", headers={"if-none-match": etag})).status == 200


@pytest.mark.parametrize("name", ["", "nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "../routes/player.py", ".", "page"])
async def test_nothing_else_is_given_away(app: ASGIApp, name: str) -> None:
    answer = await ask(app, "GET", f"/player/{name}")
    assert answer.status in (404, 405)
    assert answer.json["error"]["type"] in ("unknown_request", "invalid_request")


@pytest.mark.parametrize("target", ["/", "/docs", "/player/page.js"])
async def test_the_pages_are_open_where_keys_are_wanted(target: str) -> None:
    locked = create_app(ScriptedEngine(), Settings(api_keys=ApiKeys(["s3cret"])))
    assert (await ask(locked, "GET", target)).status == 200


async def test_the_model_tells_what_the_page_may_offer() -> None:
    model = (await ask(create_app(ScriptedEngine(), Settings()), "GET", "/model_info")).json
    assert (model["can_instruct"], model["can_clone"]) == (True, True)


def test_english_and_chinese_have_the_same_words() -> None:
    english, chinese = ((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("english", "chinese"))
    names = [re.findall(r"^  (\w+): ", words, re.MULTILINE) for words in (english, chinese)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])
    for name, written in re.findall(r'^  (\w+): "(.*)",$', english, re.MULTILINE):
        (translated,) = re.findall(rf'^  {name}: "(.*)",$', chinese, re.MULTILINE)
        assert set(re.findall(r"\{\w+\}", written)) == set(re.findall(r"\{\w+\}", translated)), name


@pytest.mark.parametrize(("language", "stop"), [("english", "."), ("chinese", "。")])
def test_every_problem_is_a_sentence_that_a_detail_can_be_put_into(language: str, stop: str) -> None:
    words = (FOLDER / f"{language}.js").read_text(encoding="utf-8")
    problems = re.findall(r'^  problem_\w+: "(.*)",$', words, re.MULTILINE)
    assert problems
    assert [problem for problem in problems if not problem.endswith(stop)] == []


def test_every_word_that_a_page_asks_for_is_there() -> None:
    words = (FOLDER / "english.js").read_text(encoding="utf-8")
    asked = {"status_loading", "status_ready", "title"}
    for name in FILES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        asked |= set(re.findall(r'data-(?:words|label|placeholder|title)="(\w+)"', text))
        asked |= set(re.findall(r'\bsay\("(\w+)"', text)) | set(re.findall(r'\brest\("(\w+)"', text))
    assert asked <= set(re.findall(r"^  (\w+): ", words, re.MULTILINE))


def test_no_word_is_there_for_nobody() -> None:
    words = (FOLDER / "english.js").read_text(encoding="utf-8")
    pages = "".join(
        (FOLDER / name).read_text(encoding="utf-8") for name in FILES if name not in ("english.js", "chinese.js")
    )
    for name in re.findall(r"^  (\w+): ", words, re.MULTILINE):
        if not re.match("(problem|status|kind|gender)_", name):
            assert re.search(rf'"{name}"', pages), name
