"""What a tap may open: which addresses are taken, and what a browser is given for one."""

from __future__ import annotations

import re
from typing import Final

from modules.application.param_rules import MAX_URL_LENGTH, ProblemList, is_https_url

# Where apps find in `data` what a tap opens: extras of the launcher's intent on Android
# (firebase-android-sdk, CommonNotificationBuilder), userInfo on iOS, FCM_MSG.data on the web
# (firebase-js-sdk, sw-listeners).
DATA_KEY: Final = "click_action"

# Two slashes, or one and a backslash, name another host to a browser (WHATWG URL, "relative slash state").
_PATH = re.compile(r"/(?![/\\])\S*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://\S+")
# Run code, read files or local state, or leave the app for what nobody has vouched for.
_REFUSED_SCHEMES: Final = frozenset(
    {
        *("about", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "http", "intent", "jar"),
        *("javascript", "resource", "vbscript", "view-source", "ws", "wss"),
    }
)
_OPAQUE_SCHEME = re.compile(r"[\x00-\x20]*([a-z][a-z0-9+.-]*):")
_RULE = (
    "must be a path that begins with one /, an https address with a host, or an address of the app's own "
    f"scheme like shop://orders/7, without spaces, of at most {MAX_URL_LENGTH} characters"
)


def is_openable(text: str) -> bool:
    """Whether it is an address that a tap may open."""
    if len(text) > MAX_URL_LENGTH or not text.isprintable():
        return False
    if _PATH.fullmatch(text):
        return True
    match = _SCHEME.fullmatch(text)
    if match is None:
        return False
    scheme = match[1].lower()
    return is_https_url(text) if scheme == "https" else scheme not in _REFUSED_SCHEMES


def check_click_action(value: object, data: dict[str, str], problems: ProblemList) -> str | None:
    """The address, or None with what is wrong with it noted; `data` is the caller's own."""
    if value is None:
        _check_own_key(data, problems)
        return None
    text = problems.text(value, "click_action")
    if text is None:
        return None
    if not is_openable(text):
        problems.add("invalid_click_action", "click_action", _RULE)
        return None
    if data.get(DATA_KEY, text) != text:
        reason = "click_action is put there, and this says something else"
        problems.add("conflict", f"data.{DATA_KEY}", reason)
    return text


def _check_own_key(data: dict[str, str], problems: ProblemList) -> None:
    """Apps open what the key says: a name that is no address is theirs, an address that runs code is not."""
    # A browser leaves these out of an address (WHATWG URL, "basic URL parser").
    text = re.sub(r"[\t\n\r]", "", data.get(DATA_KEY, "")).lower()
    scheme = _OPAQUE_SCHEME.match(text)
    if scheme is not None and scheme[1] in _REFUSED_SCHEMES:
        problems.add("invalid_click_action", f"data.{DATA_KEY}", f"must not be an address of {scheme[1]}:")


def web_link(click_action: str | None, link_base: str | None) -> str | None:
    """What a browser opens: FCM takes https alone (FCM HTTP v1, WebpushFcmOptions.link).

    A path is put behind `link_base`. None: nothing that a browser can be given.
    """
    if click_action is None or not is_openable(click_action):
        return None
    if is_https_url(click_action):
        return click_action
    if click_action.startswith("/") and link_base is not None:
        return link_base.rstrip("/") + click_action
    return None
