"""What a tap may open, and what a browser is given for it."""

from __future__ import annotations

import string
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.notification.internals.channels.fcm.click_target import is_openable, web_link

BASE = "https://example.com/app"


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/appointments/appt123",
        "/a?next=//b#c",
        "/größe/7",
        "https://example.com/",
        "https://example.com:8443/a?b=c#d",
        "HTTPS://example.com/".lower(),
        "myapp://x",
        "com.example.shop://orders/7?from=push",
        "a+b-c.d://x",
    ],
)
def test_a_path_an_https_address_and_an_apps_own_scheme_are_opened(text: str) -> None:
    assert is_openable(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "OPEN_APPOINTMENT",
        "appointments/1",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/a b",
        "/a\n",
        "/a\u2028b",
        "/\u202ea",
        " /a",
        "http://example.com/",
        "https://",
        "https:///a",
        "HTTPS://example.com/",
        "javascript:alert(1)",
        "javascript://example.com/%0Aalert(1)",
        "JavaScript://x",
        "data:text/html,x",
        "DATA://x",
        "vbscript:x",
        "vbscript://x",
        "file:///etc/passwd",
        "File://x",
        "content://contacts/1",
        "intent://x#Intent;end",
        "blob://x",
        "mailto:a@example.com",
        "myapp:x",
        "myapp://",
        "1app://x",
        "https://example.com/" + "a" * 2048,
        "/" + "a" * 2048,
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert not is_openable(text)


schemes = st.sampled_from(["javascript", "data", "vbscript", "file", "http"])


@given(
    scheme=schemes.flatmap(lambda word: st.tuples(*(st.sampled_from([c, c.upper()]) for c in word))),
    rest=st.text(string.printable, max_size=30),
    before=st.text(string.whitespace + "\x00\x01\u200b", max_size=2),
)
def test_no_spelling_of_a_refused_scheme_passes(scheme: tuple[str, ...], rest: str, before: str) -> None:
    assert not is_openable(f"{before}{''.join(scheme)}:{rest}")


@given(st.text(max_size=40) | st.text("/\\.:@#?a%", max_size=12).map(lambda text: f"/{text}"))
def test_a_browser_stays_on_the_base_or_goes_where_the_caller_said_in_full(text: str) -> None:
    link = web_link(text, BASE)
    if link is None:
        return
    assert is_openable(text)
    assert urlsplit(link).scheme == "https"
    if text.startswith("/"):
        assert link == BASE + text
        assert urlsplit(link).netloc == "example.com"


def test_without_a_base_a_browser_has_no_address_for_a_path() -> None:
    assert web_link("/a", None) is None
    assert web_link("myapp://a", BASE) is None
    assert web_link(None, BASE) is None
    assert web_link("https://shop.example/a", None) == "https://shop.example/a"
