"""What stands in the Web UI is what was said, whatever it looks like."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from modules.application.markdown import as_code
from modules.campaign.run_types import CampaignRunParams
from modules.campaign.workers.campaign_worker import CampaignWorker
from modules.notification.types import PushNotificationWorkerParams
from modules.notification.workers.params import BatchParams, DueKey
from modules.notification.workers.push_notification_batch_worker import PushNotificationBatchWorker
from modules.notification.workers.push_notification_worker import PushNotificationWorker

NASTY = st.text(st.sampled_from("`~*_[]()<>!&#\\|\n\r\t $\u2028-=+:/a1é"), max_size=30)
texts = (
    st.text(max_size=60)
    | NASTY
    | st.sampled_from(
        [
            "`",
            "``",
            " ` ",
            "a``b`c",
            "](javascript:alert(1))",
            "<script>alert(1)</script>",
            "</code>",
            "![x](https://evil.example/a.png)",
            "\n\n# Heading",
            "\n```\ncode",
            "&lt;",
            "https://evil.example",
        ]
    )
)


def inline_tokens(markdown: str) -> list[tuple[str, str]]:
    """What a renderer makes of it; everything has to stand in one paragraph."""
    opened, inline, closed = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(markdown)
    assert (opened.type, inline.type, closed.type) == ("paragraph_open", "inline", "paragraph_close")
    return [(token.type, token.content) for token in inline.children or []]


@given(texts)
@example("`")
@example("")
@example("   ")
@example("\n")
def test_any_text_is_one_piece_of_code_and_nothing_else(text: str) -> None:
    said = "".join(letter if letter.isprintable() else "�" for letter in text) or " "
    tokens = inline_tokens(f"To {as_code(text)} now.")
    assert [kind for kind, _ in tokens] == ["text", "code_inline", "text"]
    assert (tokens[0][1], tokens[2][1]) == ("To ", " now.")
    # CommonMark keeps text of spaces alone as it is, the padding included.
    assert tokens[1][1] == said or not said.strip(" ")


@given(texts, texts)
def test_two_texts_beside_each_other_do_not_meet(first: str, second: str) -> None:
    tokens = inline_tokens(f"{as_code(first)} to {as_code(second)}.")
    assert [kind for kind, _ in tokens] == ["code_inline", "text", "code_inline", "text"]


@given(texts)
def test_every_worker_shows_ids_as_they_are(text: str) -> None:
    key = DueKey(due_at=text, notification_id=text)
    described = [
        PushNotificationWorker.describe(
            PushNotificationWorkerParams(notification_id=text, account_id=text, priority="normal")
        ),
        PushNotificationBatchWorker.describe(BatchParams(first_id=text, rows=1, after=None, last=key)),
        CampaignWorker.describe(CampaignRunParams(campaign_id=text)),
    ]
    for start in described:
        for paragraph in start.details.split("\n\n"):
            kinds = {kind for kind, _ in inline_tokens(paragraph)}
            assert kinds == {"text", "code_inline"}, start.details


@pytest.mark.parametrize("text", ["a`b", "[x](y)", "a\nb", "<b>"])
def test_an_account_id_is_readable_in_the_details(text: str) -> None:
    params = PushNotificationWorkerParams(notification_id="1", account_id=text, priority="normal")
    first = PushNotificationWorker.describe(params).details.split("\n\n")[0]
    assert ("code_inline", text.replace("\n", "�")) in inline_tokens(first)
