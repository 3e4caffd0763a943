"""The validated settings; every room is handed the part it needs, nobody reads the environment itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from modules.application.app_ids import DEFAULT_APP_ID

# The origin of a web app, perhaps with a path; paths of click actions follow without a second slash.
LinkBase = Annotated[str, Field(pattern=r"^https://[^/\\\s?#@]+(/[^/\\\s?#]+)*/?$", max_length=512)]
# MongoDB counts the seconds after which it removes documents in 32 bits (MongoDB, "TTL Indexes").
MOST_DAYS = 24_855
# As modules/device_token/types.py, which says why.
MAX_DEVICES = 1_000
PositiveSeconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MongoSettings(_Section):
    uri: SecretStr
    database: Annotated[str, Field(min_length=1)]
    server_selection_timeout_seconds: PositiveSeconds
    operation_timeout_seconds: PositiveSeconds


class TemporalTlsSettings(_Section):
    enabled: bool
    server_name: str | None
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None


class TemporalSettings(_Section):
    address: Annotated[str, Field(pattern=r"^[^\s:]+:\d+$")]
    namespace: Annotated[str, Field(min_length=1)]
    api_key: SecretStr | None
    connect_timeout_seconds: PositiveSeconds
    workflow_task_timeout_seconds: PositiveSeconds
    task_queue_prefix: Annotated[str, Field(min_length=1)]
    ui_url: str | None
    tls: TemporalTlsSettings

    @model_validator(mode="after")
    def _key_needs_tls(self) -> Self:
        if self.api_key is not None and not self.tls.enabled:
            raise ValueError("api_key needs tls.enabled: it would travel in clear text")
        return self


class FcmAppSettings(_Section):
    """One Firebase project: its service account file, and the project when it is not the file's own.

    `link_base` is what a browser finds the paths of click actions behind.
    """

    credentials_path: Path
    project_id: str | None = None
    link_base: LinkBase | None = None


class FcmSettings(_Section):
    """`credentials_path` None means no default app; `apps` adds projects by app id."""

    credentials_path: Path | None
    project_id: str | None
    link_base: LinkBase | None
    endpoint: Annotated[str, Field(pattern=r"^https://[^/\s]+$")]
    ca_file: Path | None
    connect_timeout_seconds: PositiveSeconds
    request_timeout_seconds: PositiveSeconds
    max_concurrent_requests: Annotated[int, Field(ge=1)]
    apps: dict[str, FcmAppSettings]

    def all_apps(self) -> dict[str, FcmAppSettings]:
        """Every configured app by id; the top-level credentials are the app "default"."""
        if self.credentials_path is None:
            return dict(self.apps)
        default = FcmAppSettings(
            credentials_path=self.credentials_path, project_id=self.project_id, link_base=self.link_base
        )
        return {DEFAULT_APP_ID: default, **self.apps}

    def longest_link_base(self) -> str | None:
        """What a message has to have room for, whichever app it goes to."""
        bases = (app.link_base for app in self.all_apps().values() if app.link_base is not None)
        return max(bases, key=len, default=None)


class DeliverySettings(_Section):
    lease_seconds: PositiveSeconds
    max_backoff_seconds: PositiveSeconds
    immediate_max_backoff_seconds: PositiveSeconds
    patience_immediate_seconds: PositiveSeconds
    patience_normal_seconds: PositiveSeconds
    breaker_failure_threshold: Annotated[int, Field(ge=1)]
    breaker_failure_seconds: PositiveSeconds
    breaker_cooldown_seconds: PositiveSeconds


class RateSettings(_Section):
    """What a provider's credential may send, all processes together; the provider's quota, not a wish."""

    quota_per_minute: Annotated[int, Field(ge=1)]
    ramp_seconds: Annotated[float, Field(ge=0)]
    immediate_share: Annotated[float, Field(ge=0, lt=1)]


class ImmediateSettings(_Section):
    wait_seconds: PositiveSeconds


class ScanSettings(_Section):
    cron: str
    page_size: Annotated[int, Field(ge=1, le=2000)]
    batch_threshold: Annotated[int, Field(ge=0)]


class RetentionSettings(_Section):
    finished_days: Annotated[float, Field(gt=0)]
    inactive_devices_days: Annotated[float, Field(gt=0, le=MOST_DAYS)]


class DeviceSettings(_Section):
    """How many active devices an account may have; what a row records of them has to fit a document."""

    max_per_account: Annotated[int, Field(ge=1, le=MAX_DEVICES)]


class WorkerSettings(_Section):
    max_concurrent_deliveries: Annotated[int, Field(ge=1)]
    max_concurrent_immediate_deliveries: Annotated[int, Field(ge=1)]
    max_concurrent_pages: Annotated[int, Field(ge=1)]
    graceful_shutdown_seconds: PositiveSeconds
    max_memory_mib: Annotated[int, Field(ge=128)]


class OneTimePasswordSettings(_Section):
    digits: Annotated[int, Field(ge=4, le=10)]
    ttl_seconds: PositiveSeconds
    max_attempts: Annotated[int, Field(ge=1)]
    reissue_seconds: Annotated[float, Field(ge=0, le=3600)]
    codes_per_hour: Annotated[int, Field(ge=1, le=1000)]


class LoggingSettings(_Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    format: Literal["json", "console"]


class MetricsSettings(_Section):
    """`port` None serves no metrics; `host` is the interface they are served on."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None


class Settings(_Section):
    mongodb: MongoSettings
    temporal: TemporalSettings
    fcm: FcmSettings
    delivery: DeliverySettings
    rate: RateSettings
    immediate: ImmediateSettings
    scan: ScanSettings
    retention: RetentionSettings
    device: DeviceSettings
    worker: WorkerSettings
    one_time_password: OneTimePasswordSettings
    logging: LoggingSettings
    metrics: MetricsSettings
