"""The README's three examples of sending, as they stand there."""

from __future__ import annotations

from datetime import datetime, timedelta

from modules.account.types import Account
from modules.notification.notification_service import NotificationService
from modules.notification.types import SendPushParams


def security_alert(user: Account) -> str:
    """Example 1: Security Alert (Immediate)."""
    notification_id = NotificationService.send_push_for_account(
        account_id=user.id,
        params=SendPushParams(
            title="Security Alert",
            body="New login from Chrome on Windows",
            data={"type": "login_alert", "session_id": "abc123"},
        ),
        immediate=True,
    )
    return notification_id  # noqa: RET504 - the statement above is the README's


def appointment_reminder(user: Account, appointment_time: datetime) -> str:
    """Example 2: Appointment Reminder (Async with Expiry)."""
    notification_id = NotificationService.send_push_for_account(
        account_id=user.id,
        params=SendPushParams(
            title="Appointment Reminder",
            body="Your appointment is in 1 hour",
            data={"type": "appointment", "appointment_id": "appt123"},
            click_action="/appointments/appt123",
        ),
        immediate=False,
        expires_at=appointment_time,
    )
    return notification_id  # noqa: RET504


def one_time_password(user: Account, otp_code: str) -> str:
    """Example 3: OTP (Immediate)."""
    notification_id = NotificationService.send_push_for_account(
        account_id=user.id,
        params=SendPushParams(
            title="Your OTP Code",
            body=f"Your OTP is {otp_code}",
            data={"type": "otp", "code": otp_code},
        ),
        immediate=True,
        expires_at=datetime.now() + timedelta(minutes=10),  # noqa: DTZ005 - as in the README
    )
    return notification_id  # noqa: RET504
