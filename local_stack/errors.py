"""Why a local stack cannot start: each error says in one line what to do about it."""

from __future__ import annotations

from modules.application.errors import ConfigurationError, ConflictError, UnavailableError


class StackInUseError(ConflictError):
    """Another process runs a stack in this folder."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="local_stack_in_use", field="folder", reason=reason)


class StackFolderError(ConfigurationError):
    """A folder cannot be written to, is full, or holds data of another version."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="local_stack_folder_unusable", field="folder", reason=reason)


class PortTakenError(ConfigurationError):
    """A port that was asked for is in use."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="local_stack_port_taken", field="ports", reason=reason)


class ToolMissingError(ConfigurationError):
    """A server's program is not on this machine and could not be obtained."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="local_stack_tool_missing", reason=reason)


class ServerStartError(UnavailableError):
    """A server ended, or did not become ready in time; the reason quotes its last line and names its log."""

    def __init__(self, reason: str) -> None:
        super().__init__(code="local_stack_server_failed", reason=reason)


class ServerUnreachableError(UnavailableError):
    """A server named by the environment does not answer."""

    def __init__(self, reason: str, *, field: str) -> None:
        super().__init__(code="local_stack_server_unreachable", field=field, reason=reason)
