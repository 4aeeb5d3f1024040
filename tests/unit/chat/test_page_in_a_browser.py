"""The chat's page in trouble, as somebody sees it: within three seconds it says what goes on, and one can go on by keyboard."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from labs.pods.chat.server import PAGE, SECURITY
from tests.support.browser import Page, browser, needs_browser
from tests.support.waiting import eventually

pytestmark = needs_browser
ERROR = {
    "error": {"explanation": "The chat cannot reach the model server.", "hop": "network", "code": None, "status": 502}
    | {"message": "upstream connect error or disconnect/reset before headers", "request_id": "r-1"}
}


class Chat:
    """The page, over an API whose answers a test decides: after how long, and with what."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.silence = 0.0
        self.error: dict[str, Any] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/", self.page)
        app.router.add_post("/api/chat", self.chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE.read_text(), content_type="text/html", headers=SECURITY)

    async def chat(self, request: web.Request) -> web.Response:
        self.asked.append((await request.json())["message"])
        await asyncio.sleep(self.silence)
        if self.error is not None:
            return web.json_response(self.error, status=502)
        body = '{"answer": "It fell off.", "timings": {"first_token": 0.1, "total": 0.2, "tokens": 3}}'
        return web.Response(text=f'event: token\ndata: {{"text": "It fell off."}}\n\nevent: done\ndata: {body}\n\n')


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def chat(tab: Page) -> Iterator[Chat]:
    chat = Chat()
    chat.start()
    tab.open(chat.url)
    yield chat
    chat.stop()


def text(tab: Page, id: str) -> str:
    """What somebody sees of an element: nothing if it is hidden."""
    shown: str = tab.evaluate(f"document.getElementById('{id}').innerText" if visible(tab, id) else "''")
    return shown


def visible(tab: Page, id: str) -> bool:
    return bool(tab.evaluate(f"document.getElementById('{id}').checkVisibility()"))


def ask(tab: Page) -> None:
    tab.evaluate("document.getElementById('message').focus()")
    tab.press("Enter")


def test_an_answer_shows_no_trouble(tab: Page, chat: Chat) -> None:
    ask(tab)
    eventually(lambda: text(tab, "answer") == "It fell off.", 10)
    assert not visible(tab, "trouble") and not visible(tab, "waiting")


def test_silence_is_explained_and_can_be_ended_by_keyboard(tab: Page, chat: Chat) -> None:
    chat.silence = 60
    ask(tab)
    eventually(lambda: visible(tab, "waiting"), 6)
    assert "No answer yet. Your question is on its way to the model server, or waits there for a free GPU." in text(
        tab, "waiting"
    )
    eventually(lambda: "(4 s)" in text(tab, "waiting"), 6)
    tab.press("Tab", "Tab", "Tab", "Tab", "Tab")  # Ask, three examples, Stop waiting
    assert tab.evaluate("document.activeElement.id") == "stop"
    tab.press("Enter")
    eventually(lambda: "✗ No answer this time. You stopped waiting after" in text(tab, "problem"), 5)
    assert not visible(tab, "waiting") and tab.evaluate("document.activeElement.id") == "message"


def test_after_ten_seconds_it_says_that_this_is_unusual(tab: Page, chat: Chat) -> None:
    chat.silence = 60
    tab.evaluate("void (window.began = performance.now(), performance.now = () => window.began + 11000)")
    tab.evaluate("void wait(window.began)")
    assert "This is unusual: the way to the model server may be cut." in text(tab, "waiting")


def test_a_failure_is_said_in_plain_words_and_can_be_tried_again(tab: Page, chat: Chat) -> None:
    chat.error = ERROR
    ask(tab)
    eventually(lambda: visible(tab, "trouble"), 10)
    assert text(tab, "problem") == "✗ No answer this time. The chat cannot reach the model server."
    assert "upstream connect error" not in tab.evaluate("document.body.innerText"), "the proxy's words are folded away"
    chat.error = None
    tab.evaluate("document.getElementById('again').focus()")
    tab.press("Enter")
    eventually(lambda: text(tab, "answer") == "It fell off.", 10)
    assert chat.asked[0] == chat.asked[1] and not visible(tab, "trouble")


def test_trouble_differs_by_more_than_its_colour(tab: Page, chat: Chat, tmp_path: Path) -> None:
    chat.error = ERROR
    ask(tab)
    eventually(lambda: visible(tab, "trouble"), 10)
    style = "getComputedStyle(document.getElementById('trouble'))"
    assert tab.evaluate(f"parseFloat({style}.borderLeftWidth) > parseFloat({style}.borderTopWidth)")
    assert text(tab, "problem").startswith("✗")
