"""The grammar of what a target's text says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.exchange import Effect
from simulator.fcm_errors import FCM_ERRORS
from simulator.instructions import Instruction, InvalidInstructionError, TargetText, read_target


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        *((f"sim-{code}-1", Instruction(error_code=code)) for code in FCM_ERRORS),
        ("sim-UNREGISTERED", Instruction(error_code="UNREGISTERED")),
        ("phone:sim-UNAVAILABLE*2-a", Instruction(error_code="UNAVAILABLE", times=2)),
        (
            "sim-QUOTA_EXCEEDED*1+retry-after=7+quota=device-x",
            Instruction(error_code="QUOTA_EXCEEDED", times=1, retry_after_seconds=7, quota="device"),
        ),
        ("a-sim-503+accepted-b", Instruction(http_status=503, accepted=True)),
        ("sim-ok+delay=250-", Instruction(delay_ms=250)),
        ("sim-lost-response-1", Instruction(effect=Effect.LOST_RESPONSE)),
        ("sim-lost-connection*3-1", Instruction(effect=Effect.LOST_CONNECTION, times=3)),
        ("sim-goaway-1", Instruction(effect=Effect.GOAWAY)),
        ("sim-goaway-unprocessed*1-1", Instruction(effect=Effect.GOAWAY_UNPROCESSED, times=1)),
        ("sim-reset*1-1", Instruction(effect=Effect.RESET, times=1)),
        ("sim-drip-1", Instruction(effect=Effect.DRIP)),
        ("sim-hang+not-accepted-1", Instruction(effect=Effect.HANG, accepted=False)),
    ],
)
def test_an_instruction_is_read(text: str, instruction: Instruction) -> None:
    assert read_target(text) == TargetText(instruction=instruction)


def test_the_project_of_a_target_is_read() -> None:
    assert read_target("sim-project:other-1:x") == TargetText(project="other-1")
    both = read_target("sim-project:other-1:sim-UNAVAILABLE*1-x")
    assert both == TargetText("other-1", Instruction(error_code="UNAVAILABLE", times=1))


@pytest.mark.parametrize("text", ["phone-1", "", "simple", "pixelsim-1", "SIM-UNREGISTERED-1", "1sim-ok-"])
def test_other_texts_say_nothing(text: str) -> None:
    assert read_target(text) == TargetText()


@pytest.mark.parametrize(
    "text",
    [
        "sim-",
        "sim-UNREGISTRED-1",
        "sim-UNREGISTEREDX-1",
        "sim-unregistered-1",
        "sim-lost_response-1",
        "sim-200-1",
        "sim-600-1",
        "sim-ok*-1",
        "sim-ok+retry=1-1",
        "sim-ok+delay=-1",
        "sim-ok-sim-reset-1",
        "sim-project:x",
        "sim-project:a:sim-project:b:",
        "sim-ok+not-accepted-1",
        "sim-reset+accepted-1",
    ],
)
def test_a_misspelt_instruction_is_an_error_and_no_success(text: str) -> None:
    with pytest.raises(InvalidInstructionError):
        read_target(text)


@pytest.mark.parametrize(
    ("instruction", "accepted", "name"),
    [
        (Instruction(), True, "OK"),
        (Instruction(error_code="UNAVAILABLE"), False, "UNAVAILABLE"),
        (Instruction(http_status=502), False, "HTTP_502"),
        (Instruction(error_code="UNAVAILABLE", accepted=True), True, "UNAVAILABLE"),
        (Instruction(effect=Effect.LOST_RESPONSE), True, "OK"),
        (Instruction(effect=Effect.HANG, accepted=False), False, "OK"),
        (Instruction(effect=Effect.RESET), False, "reset"),
        (Instruction(effect=Effect.GOAWAY_UNPROCESSED), False, "goaway_unprocessed"),
    ],
)
def test_what_an_instruction_leaves_accepted(instruction: Instruction, accepted: bool, name: str) -> None:
    assert (instruction.is_accepted, instruction.name) == (accepted, name)


def test_an_instruction_cannot_have_two_answers() -> None:
    with pytest.raises(InvalidInstructionError):
        Instruction(error_code="INTERNAL", http_status=500)


@given(
    st.sampled_from(sorted(FCM_ERRORS)),
    st.none() | st.integers(0, 999_999),
    st.none() | st.integers(0, 99_999),
    st.integers(0, 999_999),
    st.from_regex(r"([A-Za-z0-9_:]*[_:-])?", fullmatch=True).filter(lambda text: "sim-" not in text),
)
def test_what_is_written_is_read_back(
    code: str, times: int | None, retry_after: int | None, delay: int, prefix: str
) -> None:
    written = f"{prefix}sim-{code}"
    written += "" if times is None else f"*{times}"
    written += "" if retry_after is None else f"+retry-after={retry_after}"
    written += f"+delay={delay}-end"
    expected = Instruction(error_code=code, times=times, retry_after_seconds=retry_after, delay_ms=delay)
    assert read_target(written).instruction == expected


@given(st.text(st.sampled_from("sim-ok*+=:12AINTERNALproject"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = read_target(text)
    except InvalidInstructionError:
        assert "sim-" in text
    else:
        assert (read == TargetText()) or "sim-" in text
