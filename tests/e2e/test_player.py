"""The player page in a browser that exists: what is sent sounds, and whoever uses it can."""

import json
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, expect

from tests.support.browser import CHROMIUM, UNTRUSTED, Visit, checksum, chromium, visit
from tests.support.server import ServerProcess, running_server

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")]

TEXT = "你好，世界。And a second sentence."
NASTY = 'He said "hi" & it\'s $HOME, `x` \\ \\n!\n第二行：你好 <b> 😀\u2028end'
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SMALL_PHONE = PHONE | {"viewport": {"width": 320, "height": 640}}
FINGER_PIXELS = 44
LEGIBLE = 4.5
"""Contrast of text, by WCAG 2 (AA)."""


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


def pcm_of(server: ServerProcess, text: str, **fields: object) -> bytes:
    answer = httpx.post(f"{server.url}/synthesize/stream", json={"text": text, "format": "pcm", **fields})
    answer.raise_for_status()
    return answer.content


def assert_clean(visited: Visit, server: ServerProcess) -> None:
    assert visited.errors == []
    assert visited.hosts == {f"127.0.0.1:{server.port}"}


# Playing


def test_what_is_rendered_is_what_was_sent(browser: Browser, server: ServerProcess) -> None:
    pcm = pcm_of(server, TEXT)
    with visit(browser, server.url) as visited:
        page = visited.page
        page.evaluate(
            """() => {
              window.marked = [];
              const note = () => window.marked.push(document.querySelector("#echo mark")?.textContent ?? "");
              new MutationObserver(note).observe(document.querySelector("#echo"), { childList: true });
            }"""
        )
        visited.speak(TEXT)
        figures = visited.wait_for("ended")
        page.wait_for_function("() => marked.length > 3 && marked.at(-1) === ''")  # the last picture is still to come
        assert [text for text in page.evaluate("marked") if text] == ["你好，世界。", "And a second sentence."]
        assert (figures["received"], figures["rendered"]) == (len(pcm) // 2, len(pcm) // 2)
        assert figures["checksum"] == checksum(pcm)
        assert figures["done"]["samples"] == len(pcm) // 2
        expect(page.locator("#first-audio")).to_have_text(re.compile(r"\d+ ms"))
        expect(page.locator("#underruns")).to_have_text(str(figures["underruns"]))
        expect(page.locator("#synthesis")).to_have_text(re.compile(r"[\d.]+×"))
        expect(page.locator("#status")).to_have_text("Spoken: 1.6 s of audio.")
        assert_clean(visited, server)


def test_it_plays_where_browsers_offer_no_worklet(browser: Browser, server: ServerProcess) -> None:
    pcm = pcm_of(server, TEXT)
    with visit(browser, f"http://{UNTRUSTED}:{server.port}") as visited:
        assert visited.page.evaluate("() => isSecureContext") is False
        visited.speak(TEXT)
        figures = visited.wait_for("ended")
        assert (figures["rendered"], figures["checksum"]) == (len(pcm) // 2, checksum(pcm))
        expect(visited.page.locator("#record")).to_be_hidden()
        visited.page.locator("#copy").click()
        expect(visited.page.locator("#copy")).to_have_text("Copied")
        visited.speak("一 " * 500)
        visited.wait_for("speaking")
        visited.page.wait_for_function("() => cosystream.rendered > 0")
        visited.page.keyboard.press("Escape")
        assert visited.figures()["state"] == "stopped"
        assert visited.errors == []


def test_the_next_utterance_begins_anew(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url) as visited:
        visited.speak("一 " * 500)
        visited.wait_for("speaking")
        visited.page.keyboard.press("Control+Enter")  # while the first is still sounding
        visited.page.locator("#text").fill("two words")
        visited.page.keyboard.press("Control+Enter")
        visited.wait_for("ended")
        pcm = pcm_of(server, "two words")
        assert (visited.figures()["rendered"], visited.figures()["checksum"]) == (len(pcm) // 2, checksum(pcm))
        assert_clean(visited, server)


def test_the_file_is_what_was_heard(browser: Browser, server: ServerProcess, tmp_path: Path) -> None:
    with visit(browser, server.url, accept_downloads=True) as visited:
        expect(visited.page.locator("#download")).to_be_disabled()
        visited.speak(TEXT)
        visited.wait_for("ended")
        with visited.page.expect_download() as download:
            visited.page.locator("#download").click()
        assert re.fullmatch(r"中文女-[0-9a-f]{8}\.wav", download.value.suggested_filename)
        download.value.save_as(tmp_path / "heard.wav")
    with wave.open(str(tmp_path / "heard.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(file.getnframes()) == pcm_of(server, TEXT)


def test_voice_and_speed_are_what_was_chosen(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url) as visited:
        page = visited.page
        options = page.locator("#voice option")  # they come a moment after the page
        expect(options.nth(0)).to_have_text("中文女 – Chinese, English, female")
        expect(options.nth(1)).to_have_text("中文男 – Chinese, English, male")
        page.locator("#voice").select_option("英文男")
        page.locator("#speed").focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        expect(page.locator("#speed-shown")).to_have_text("1.25×")
        visited.speak("two words")
        figures = visited.wait_for("ended")
        assert figures["start"]["speaker"] == "英文男"
        assert figures["checksum"] == checksum(pcm_of(server, "two words", speaker="英文男", speed=1.25))


# Whoever uses it


def test_a_keyboard_is_enough(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url) as visited:
        page = visited.page
        reached = []
        for _ in range(10):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => {
                  const { id, tagName } = document.activeElement;
                  const ring = (element) => getComputedStyle(element).outlineStyle !== "none";
                  return [id || tagName, ring(document.activeElement) || ring(document.activeElement.parentElement)];
                }"""
            )
            reached.append(focused[0])
            assert focused[1] or focused[0] == "BODY", f"the focus on {focused[0]} cannot be seen"
            if focused[0] == "text":
                page.keyboard.press("Control+a")
                page.keyboard.type("word " * 100)
        assert [name for name in reached if name.islower()] == ["language", "text", "voice", "speed", "play"]
        page.keyboard.press("Control+Enter")
        visited.wait_for("speaking")
        page.keyboard.press("Escape")
        assert visited.figures()["state"] == "stopped"
        page.locator("#play").focus()
        page.keyboard.press("Enter")
        visited.wait_for("speaking")
        page.keyboard.press("Space")
        assert visited.figures()["state"] == "stopped"
        assert_clean(visited, server)


def test_it_fits_a_phone_and_a_finger(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url, **PHONE) as visited:
        page = visited.page
        page.locator("#text").fill(TEXT)
        page.locator("#play").tap()
        visited.wait_for("ended")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]  # type: ignore[index]
        for control in page.locator("button:visible, select:visible, input[type=range]:visible, .segments span").all():
            box = control.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= FINGER_PIXELS, control
        assert float(page.locator("#text").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 16  # no zoom
        assert_clean(visited, server)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_and_by_night(browser: Browser, server: ServerProcess, scheme: str) -> None:
    with visit(browser, server.url, color_scheme=scheme) as visited:

        def colour(name: str) -> str:
            shown = visited.page.evaluate("n => getComputedStyle(document.body).getPropertyValue(n)", f"--{name}")
            assert isinstance(shown, str)
            return shown

        assert (luminance(colour("paper")) < 0.1) is (scheme == "dark")
        pairs = [("ink", "paper"), ("ink", "card"), ("quiet", "card"), ("quiet", "paper"), ("on-accent", "accent")]
        for front, back in [*pairs, ("bad", "bad-soft"), ("ink", "mark"), ("accent", "paper"), ("ink", "accent-soft")]:
            dark, bright = sorted([luminance(colour(front)), luminance(colour(back))])
            assert (bright + 0.05) / (dark + 0.05) >= LEGIBLE, (front, back)


def test_it_speaks_the_browsers_language_and_the_other_one(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url, locale="zh-CN") as visited:
        page = visited.page
        expect(page.locator("#play")).to_have_text("播放")
        expect(page.locator("#status")).to_have_text("就绪。")
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        assert page.locator("#text").input_value().startswith("你好")
        page.locator("#language").click()
        expect(page.locator("#play")).to_have_text("Play")
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("#text").input_value().startswith("Hello")
        expect(page.locator("#voice option").first).to_have_text("中文女 – Chinese, English, female")
        page.reload()
        expect(page.locator("#play")).to_have_text("Play")
        page.goto(f"{server.url}/docs")
        expect(page.locator("h1")).to_have_text("The HTTP interface")
        assert_clean(visited, server)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_no_place_for_words_is_left_empty(browser: Browser, server: ServerProcess, locale: str) -> None:
    with visit(browser, server.url, locale=locale) as visited:
        for attribute, read in (("words", "e => e.textContent"), ("label", "e => e.getAttribute('aria-label')")):
            for place in visited.page.locator(f"[data-{attribute}]").all():
                assert place.evaluate(read)
        assert_clean(visited, server)


def test_who_wants_no_motion_gets_none_and_all_of_the_sound(browser: Browser, server: ServerProcess) -> None:
    with visit(browser, server.url, reduced_motion="reduce") as visited:
        visited.speak(TEXT)
        assert visited.wait_for("ended")["checksum"] == checksum(pcm_of(server, TEXT))
        assert visited.page.locator("#play").evaluate("e => getComputedStyle(e).transitionDuration") == "0s"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_without_scripts_a_page_says_so_and_touches_nothing(browser: Browser, server: ServerProcess, path: str) -> None:
    with visit(browser, f"{server.url}{path}", java_script_enabled=False) as visited:
        told = visited.page.locator("noscript .alert").bounding_box()
        assert told is not None
        for card in visited.page.locator(".card:visible").all():
            box = card.bounding_box()
            assert box is not None
            assert box["y"] >= told["y"] + told["height"] + 8


# The same from a program


def snippet(visited: Visit, language: str) -> str:
    visited.page.locator(f"input[name=program][value={language}]").check(force=True)
    text = visited.page.locator("#snippet").text_content()
    assert text is not None
    return text


@pytest.fixture(name="nasty")
def _nasty(browser: Browser, server: ServerProcess) -> Iterator[Visit]:
    """A page on which a text was spoken that every quotation has to survive."""
    with visit(browser, server.url, permissions=["clipboard-read", "clipboard-write"]) as visited:
        visited.page.locator("#speed").fill("1.5")
        visited.speak(NASTY)
        visited.wait_for("ended")
        yield visited


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_that_is_shown_speaks_the_same(nasty: Visit) -> None:
    shown = snippet(nasty, "curl")
    nasty.page.locator("#copy").click()
    expect(nasty.page.locator("#copy")).to_have_text("Copied")
    assert nasty.page.evaluate("navigator.clipboard.readText()") == shown
    assert shown.startswith("curl --no-buffer ")
    done = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, timeout=30, check=True)
    data = [json.loads(line.removeprefix("data: ")) for line in done.stdout.split("\n") if line.startswith("data: ")]
    pcm = b"".join(bytes.fromhex(event["audio"]) for event in data if "audio" in event)
    assert data[0]["seed"] == nasty.figures()["start"]["seed"]
    assert checksum(pcm) == nasty.figures()["checksum"]


def test_the_python_that_is_shown_writes_the_same(nasty: Visit, tmp_path: Path) -> None:
    (tmp_path / "speak.py").write_text(snippet(nasty, "python"), encoding="utf-8")
    subprocess.run([sys.executable, "speak.py"], cwd=tmp_path, timeout=30, check=True)
    assert checksum((tmp_path / "speech.wav").read_bytes()[44:]) == nasty.figures()["checksum"]


def test_the_javascript_that_is_shown_hears_the_same(nasty: Visit) -> None:
    code = snippet(nasty, "javascript").replace("console.log(event, data)", "heard.push([event, data])")
    heard = nasty.page.evaluate(f"async () => {{ const heard = []; {code}\n return heard; }}")
    pcm = b"".join(bytes.fromhex(data["audio"]) for event, data in heard if event == "audio")
    assert [event for event, _ in heard][-1] == "done"
    assert checksum(pcm) == nasty.figures()["checksum"]


# The interface


@pytest.mark.parametrize("options", [{}, PHONE, SMALL_PHONE], ids=["desk", "phone", "small phone"])
def test_the_interface_is_shown_whole(browser: Browser, server: ServerProcess, options: dict[str, object]) -> None:
    described = httpx.get(f"{server.url}/openapi.json").json()
    with visit(browser, f"{server.url}/docs", **options) as visited:
        page = visited.page
        expect(page.locator(".route").first).to_be_visible()
        shown = page.locator(".route > h2").all_text_contents()
        assert shown == [
            f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods
        ]
        shapes = page.locator("#shapes h3").all_text_contents()
        assert shapes == list(described["components"]["schemas"])
        for address in page.locator("main a[href^='#'], #contents a").evaluate_all("all => all.map(a => a.hash)"):
            assert page.locator(f"[id='{address[1:]}']").count() == 1, address
        fields = page.locator("section:has(> #shape-RequestFields) tbody tr").all_text_contents()
        properties = described["components"]["schemas"]["RequestFields"]["properties"]
        assert [row.startswith(name) for row, name in zip(fields, properties, strict=True)] == [True] * len(fields)
        levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => Number(e.tagName[1]))")
        assert all(below <= above + 1 for above, below in pairwise(levels))
        assert page.evaluate("document.documentElement.scrollWidth <= screen.width")
        for summary in page.locator(".route summary").all():
            summary.click()
        cut_off = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
        assert page.locator(".table:visible").evaluate_all(cut_off) == []
        assert_clean(visited, server)
