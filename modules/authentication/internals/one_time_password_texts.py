"""What a one-time password's push says in the account's language, unless the caller has own words."""

from __future__ import annotations

from typing import Final

from modules.authentication.types import CODE_PLACE, OneTimePasswordText

_FALLBACK: Final = "en"
_TRADITIONAL_REGIONS: Final = frozenset({"HK", "MO", "TW"})
_WORDS: Final = {
    "en": ("Your code", "Your code is {code}"),
    "ar": ("رمزك", "رمزك هو {code}"),
    "cs": ("Váš kód", "Váš kód je {code}"),
    "da": ("Din kode", "Din kode er {code}"),
    "de": ("Ihr Code", "Ihr Code lautet {code}"),
    "el": ("Ο κωδικός σας", "Ο κωδικός σας είναι {code}"),
    "es": ("Su código", "Su código es {code}"),
    "fi": ("Koodisi", "Koodisi on {code}"),
    "fr": ("Votre code", "Votre code est {code}"),
    "he": ("הקוד שלך", "הקוד שלך הוא {code}"),
    "hi": ("आपका कोड", "आपका कोड {code} है"),
    "hu": ("Az Ön kódja", "Az Ön kódja: {code}"),
    "id": ("Kode Anda", "Kode Anda adalah {code}"),
    "it": ("Il tuo codice", "Il tuo codice è {code}"),
    "ja": ("認証コード", "認証コードは {code} です"),
    "ko": ("인증 코드", "인증 코드는 {code}입니다"),
    "nb": ("Koden din", "Koden din er {code}"),
    "nl": ("Uw code", "Uw code is {code}"),
    "no": ("Koden din", "Koden din er {code}"),
    "pl": ("Twój kod", "Twój kod to {code}"),
    "pt": ("Seu código", "Seu código é {code}"),
    "ro": ("Codul dumneavoastră", "Codul dumneavoastră este {code}"),
    "ru": ("Ваш код", "Ваш код: {code}"),
    "sv": ("Din kod", "Din kod är {code}"),
    "th": ("รหัสของคุณ", "รหัสของคุณคือ {code}"),
    "tr": ("Kodunuz", "Kodunuz: {code}"),
    "uk": ("Ваш код", "Ваш код: {code}"),
    "vi": ("Mã của bạn", "Mã của bạn là {code}"),
    "zh": ("您的验证码", "您的验证码是 {code}"),
    "zh-Hant": ("您的驗證碼", "您的驗證碼是 {code}"),
}


def text_for(locale: str) -> OneTimePasswordText:
    """The text in the language of a tag like de-AT, in its script where that matters; English without one."""
    language, *others = locale.split("-")
    if language == "zh" and "Hans" not in others and ("Hant" in others or _TRADITIONAL_REGIONS & {*others}):
        language = "zh-Hant"
    title, body = _WORDS.get(language, _WORDS[_FALLBACK])
    return OneTimePasswordText(title=title, body=body)


def with_code(text: OneTimePasswordText, code: str) -> tuple[str, str]:
    """Title and body with the code in its place."""
    return text.title.replace(CODE_PLACE, code), text.body.replace(CODE_PLACE, code)
