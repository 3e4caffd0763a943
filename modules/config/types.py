"""The validated settings; every room is handed the part it needs, nobody reads the environment itself."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from modules.application.app_ids import APP_ID_RULE, DEFAULT_APP_ID, is_app_id
from modules.config.internals.setting_kinds import (
    ApiKey,
    CronExpression,
    DatabaseName,
    HostPort,
    HttpsOrigin,
    InLowerCase,
    InUpperCase,
    MongodbUri,
    PlainPath,
    PositiveSeconds,
    SettingProblemError,
    TimeoutSeconds,
    WebAddress,
    Word,
)

# The origin of a web app, perhaps with a path; paths of click actions follow without a second slash.
LinkBase = Annotated[str, Field(pattern=r"^https://[^/\\\s?#@]+(/[^/\\\s?#]+)*/?$", max_length=512)]
# MongoDB counts the seconds after which it removes documents in 32 bits (MongoDB, "TTL Indexes").
MOST_DAYS = 24_855
# A second: it takes 0 for at once.
LEAST_DAYS = 1 / 86_400
# As modules/device_token/types.py, which says why.
MAX_DEVICES = 1_000
# A code is sent as a push that expires with it, which FCM keeps for 28 days at the most.
MOST_CODE_SECONDS = 2_419_200
MOST_SLOTS = 10_000


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MongoSettings(_Section):
    uri: MongodbUri
    database: DatabaseName
    server_selection_timeout_seconds: TimeoutSeconds
    operation_timeout_seconds: TimeoutSeconds


class TemporalTlsSettings(_Section):
    enabled: bool
    server_name: Word | None
    ca_file: PlainPath | None
    cert_file: PlainPath | None
    key_file: PlainPath | None

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        for name in ("server_name", "ca_file", "cert_file", "key_file"):
            if getattr(self, name) is not None and not self.enabled:
                raise SettingProblemError(name, "has no meaning while temporal.tls.enabled is false")
        if (self.cert_file is None) != (self.key_file is None):
            missing = "cert_file" if self.cert_file is None else "key_file"
            raise SettingProblemError(missing, "certificate and key are given together")
        return self


class TemporalSettings(_Section):
    address: HostPort
    namespace: Word
    api_key: ApiKey | None
    connect_timeout_seconds: TimeoutSeconds
    workflow_task_timeout_seconds: TimeoutSeconds
    task_queue_prefix: Word
    ui_url: WebAddress | None
    tls: TemporalTlsSettings

    @model_validator(mode="after")
    def _key_needs_tls(self) -> Self:
        if self.api_key is not None and not self.tls.enabled:
            reason = "needs temporal.tls.enabled: it would travel in clear text"
            raise SettingProblemError("api_key", reason)
        return self


class FcmAppSettings(_Section):
    """One Firebase project: its service account file, and the project when it is not the file's own.

    `link_base` is what a browser finds the paths of click actions behind.
    """

    credentials_path: PlainPath
    project_id: Word | None = None
    link_base: LinkBase | None = None


class FcmSettings(_Section):
    """`credentials_path` None means no default app; `apps` adds projects by app id."""

    credentials_path: PlainPath | None
    project_id: Word | None
    link_base: LinkBase | None
    endpoint: HttpsOrigin
    ca_file: PlainPath | None
    connect_timeout_seconds: TimeoutSeconds
    request_timeout_seconds: TimeoutSeconds
    max_concurrent_requests: Annotated[int, Field(ge=1, le=MOST_SLOTS)]
    apps: dict[str, FcmAppSettings]

    @model_validator(mode="after")
    def _apps_have_ids(self) -> Self:
        for app_id in self.apps:
            if not is_app_id(app_id):
                raise SettingProblemError("apps", f"an app id has {APP_ID_RULE}")
        if DEFAULT_APP_ID in self.apps and self.credentials_path is not None:
            reason = f"names the app {DEFAULT_APP_ID}, which fcm.credentials_path is already"
            raise SettingProblemError("apps", reason)
        return self

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
    # Renewed three times in its life: below a second, what MongoDB takes to answer would end it.
    lease_seconds: Annotated[float, Field(ge=1, le=3_600, allow_inf_nan=False)]
    max_lost_claims: Annotated[int, Field(ge=1)]
    max_backoff_seconds: PositiveSeconds
    immediate_max_backoff_seconds: PositiveSeconds
    patience_immediate_seconds: PositiveSeconds
    patience_normal_seconds: PositiveSeconds
    breaker_failure_threshold: Annotated[int, Field(ge=1)]
    breaker_failure_seconds: PositiveSeconds
    breaker_cooldown_seconds: PositiveSeconds


class RateSettings(_Section):
    """What a provider's credential may send, all processes together; the provider's quota, not a wish."""

    quota_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)]
    ramp_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
    immediate_share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class ImmediateSettings(_Section):
    wait_seconds: TimeoutSeconds


class ScanSettings(_Section):
    cron: CronExpression
    page_size: Annotated[int, Field(ge=1, le=2000)]
    batch_threshold: Annotated[int, Field(ge=0, le=1_000_000)]


class RetentionSettings(_Section):
    finished_days: Annotated[float, Field(ge=LEAST_DAYS, le=MOST_DAYS, allow_inf_nan=False)]
    inactive_devices_days: Annotated[float, Field(ge=LEAST_DAYS, le=MOST_DAYS, allow_inf_nan=False)]


class DeviceSettings(_Section):
    """How many active devices an account may have; what a row records of them has to fit a document."""

    max_per_account: Annotated[int, Field(ge=1, le=MAX_DEVICES)]


class WorkerSettings(_Section):
    max_concurrent_deliveries: Annotated[int, Field(ge=1, le=MOST_SLOTS)]
    max_concurrent_immediate_deliveries: Annotated[int, Field(ge=1, le=MOST_SLOTS)]
    max_concurrent_pages: Annotated[int, Field(ge=1, le=MOST_SLOTS)]
    graceful_shutdown_seconds: TimeoutSeconds
    max_memory_mib: Annotated[int, Field(ge=128)]


class OneTimePasswordSettings(_Section):
    digits: Annotated[int, Field(ge=4, le=10)]
    ttl_seconds: Annotated[float, Field(ge=1, le=MOST_CODE_SECONDS, allow_inf_nan=False)]
    max_attempts: Annotated[int, Field(ge=1, le=1_000)]
    reissue_seconds: Annotated[float, Field(ge=0, le=3600)]
    codes_per_hour: Annotated[int, Field(ge=1, le=1000)]


class LoggingSettings(_Section):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], InUpperCase]
    format: Annotated[Literal["json", "console"], InLowerCase]


class MetricsSettings(_Section):
    """`port` None serves no metrics; `host` is the interface they are served on."""

    host: Word
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
