"""What may be asked of one-time passwords."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.application.errors import InvalidInputError
from modules.authentication.internals.one_time_password_params import check_answer, check_request
from modules.authentication.internals.one_time_password_texts import text_for, with_code
from modules.authentication.types import OneTimePasswordText
from modules.notification.types import AndroidOptions, ApnsOptions, SendPushParams
from tests.support.fcm_checks import NOW, found


@pytest.mark.parametrize("code", ["", "12 34", "12345678901", "١٢٣٤٥٦", "12e4", "123456\n", 123456, None])
def test_a_malformed_code_is_refused_without_being_repeated(code: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_answer(account_id="acc-1", purpose="login", ticket_id="0" * 32, code=code)
    assert [problem.field for problem in refused.value.problems] == ["code"]
    assert str(refused.value) == "malformed_code: code: must be a string of digits"


@pytest.mark.parametrize("purpose", ["", "a:b", "Login", "x" * 33, None, 4])
def test_a_purpose_is_a_short_name(purpose: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_request(account_id="acc-1", purpose=purpose, text=None)
    assert refused.value.field == "purpose"


def test_every_failure_is_reported_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_answer(account_id="", purpose="", ticket_id="", code="")
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["account_id", "purpose", "ticket_id", "code"]


def check_text(text: object) -> None:
    check_request(account_id="acc-1", purpose="login", text=text)


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("Your code", "{code} is your code"),
        ("{code}", "It is valid for ten minutes.\nDo not share it."),
        ("क्‍ष 👩‍💻", "{0} {x} %s {code}"),
        ("t" * 100, "{code}" + "b" * 494),
    ],
)
def test_a_text_of_ones_own_holds_the_codes_place_once(title: str, body: str) -> None:
    check_text(OneTimePasswordText(title=title, body=body))


@pytest.mark.parametrize(
    ("title", "body", "problem"),
    [
        ("Your code", "It is in the title", ("missing_code_place", "text.body")),
        ("{code}", "{code}", ("missing_code_place", "text.body")),
        ("Your code", "{code} {code}", ("missing_code_place", "text.body")),
        ("Your code", "{CODE}", ("missing_code_place", "text.body")),
        ("", "{code}", ("invalid_value", "text.title")),
        ("a\nb", "{code}", ("invalid_value", "text.title")),
        ("t" * 101, "{code}", ("invalid_value", "text.title")),
        (None, "{code}", ("invalid_value", "text.title")),
        ("t", " ", ("invalid_value", "text.body")),
        ("t", "{code}\x00", ("invalid_value", "text.body")),
        ("t", "{code}\ud800", ("invalid_value", "text.body")),
        ("t", "{code}" + "b" * 495, ("invalid_value", "text.body")),
        ("t", 5, ("invalid_value", "text.body")),
    ],
)
def test_another_text_is_refused(title: object, body: object, problem: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_text(OneTimePasswordText(title=title, body=body))  # type: ignore[arg-type]
    assert [(each.code, each.field) for each in refused.value.problems] == [problem]


def test_a_text_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_text("Your code is {code}")
    assert refused.value.field == "text"


letters = st.characters(exclude_categories=["Cc", "Cs"])


@given(title=st.text(letters, max_size=120), body=st.text(letters | st.just("\n"), max_size=520))
def test_whatever_text_passes_can_be_sent(title: str, body: str) -> None:
    text = OneTimePasswordText(title=title, body=body + "{code}")
    try:
        check_text(text)
    except InvalidInputError:
        return
    shown, said = with_code(text, "1234567890")
    params = SendPushParams(
        title=shown,
        body=said,
        data={"type": "otp", "code": "1234567890"},
        android=AndroidOptions(sound="default"),
        apns=ApnsOptions(sound="default", interruption_level="time-sensitive"),
    )
    assert found(params, immediate=True, expires_at=NOW + timedelta(minutes=10)) == []


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("en", "Your code"),
        ("de-CH", "Ihr Code"),
        ("zh", "您的验证码"),
        ("zh-Hans-TW", "您的验证码"),
        ("zh-CN", "您的验证码"),
        ("zh-Hant", "您的驗證碼"),
        ("zh-TW", "您的驗證碼"),
        ("zh-Hant-HK", "您的驗證碼"),
        ("sr-Latn-RS", "Your code"),
        ("tlh", "Your code"),
    ],
)
def test_a_locale_gets_its_language_or_english(locale: str, title: str) -> None:
    assert text_for(locale).title == title


@given(st.from_regex(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", fullmatch=True))
def test_every_locale_has_a_text_that_could_be_a_callers(locale: str) -> None:
    check_text(text_for(locale))


@pytest.mark.parametrize(
    "locale",
    [
        "ar",
        "cs",
        "da",
        "de",
        "el",
        "es",
        "fi",
        "fr",
        "he",
        "hi",
        "hu",
        "id",
        "it",
        "ja",
        "ko",
        "nb",
        "nl",
        "no",
        "pl",
        "pt",
        "ro",
        "ru",
        "sv",
        "th",
        "tr",
        "uk",
        "vi",
        "zh",
    ],
)
def test_common_languages_have_words_of_their_own(locale: str) -> None:
    text = text_for(locale)
    assert text != text_for("en")
    check_text(text)
