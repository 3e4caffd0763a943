"""The shape of every public service: class-level methods, an async one and its blocking twin."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar

from modules.application.errors import NotBootstrappedError
from modules.application.event_loop_thread import EventLoopThread

CoreT = TypeVar("CoreT")
ResultT = TypeVar("ResultT")
Params = ParamSpec("Params")


class ServiceFacade(Generic[CoreT]):
    """Binds a service's core, built by bootstrap, to the class that callers use.

    The core lives on one event loop; `_on_core` runs there from wherever the caller is.
    """

    _core: ClassVar[Any] = None
    _loop_thread: ClassVar[EventLoopThread | None] = None
    # Of all services; what bootstraps this process when one of them is first called.
    _open: ClassVar[Callable[[], object] | None] = None

    @classmethod
    def bind(cls, core: CoreT, loop_thread: EventLoopThread) -> None:
        """Called by bootstrap only."""
        cls._core = core
        cls._loop_thread = loop_thread

    @classmethod
    def unbind(cls) -> None:
        cls._core = None
        cls._loop_thread = None

    @staticmethod
    def open_on_use(open_all: Callable[[], object] | None) -> None:
        """Have the next call of an unbound service bind all by `open_all`; called by bootstrap only."""
        ServiceFacade._open = open_all

    @classmethod
    def binding(cls) -> tuple[Any, EventLoopThread | None]:
        """What the service is bound to; for bootstrap, in a forked process."""
        return cls._core, cls._loop_thread

    @classmethod
    def is_bound(cls) -> bool:
        return cls._loop_thread is not None

    @classmethod
    def require_loop_thread(cls) -> EventLoopThread:
        """The loop the service runs on; raises NotBootstrappedError before bootstrap.

        In a process forked after bootstrap the first call bootstraps it, and raises what that raises.
        """
        loop_thread = cls._loop_thread
        if loop_thread is None:
            if ServiceFacade._open is None:
                raise NotBootstrappedError
            ServiceFacade._open()
            loop_thread = cls._loop_thread
        if loop_thread is None:
            raise NotBootstrappedError
        return loop_thread

    @classmethod
    async def _on_core(cls, use: Callable[[CoreT], Awaitable[ResultT]], *, lasting: bool = False) -> ResultT:
        """`lasting` is for what only the end of the application ends: that does not wait for it."""
        if cls._loop_thread is None and ServiceFacade._open is not None:
            # Bootstrap blocks, which the caller's loop must not.
            await asyncio.to_thread(cls.require_loop_thread)
        loop_thread = cls.require_loop_thread()
        core: CoreT = cls._core
        return await loop_thread.call(lambda: use(core), lasting=lasting)


class blocking(Generic[Params, ResultT]):  # noqa: N801 - reads as a decorator where it is used
    """The blocking twin of an async class method: `send = blocking(send_async)`.

    Works from plain code and from code under a running event loop (which it blocks, as any plain call does).
    """

    def __init__(self, method: Callable[Concatenate[Any, Params], Coroutine[Any, Any, ResultT]]) -> None:
        # A class body hands over the classmethod object itself, not a bound method.
        self._function: Callable[..., Coroutine[Any, Any, ResultT]] = getattr(method, "__func__", method)

    def __get__(self, instance: object, owner: type[ServiceFacade[Any]]) -> Callable[Params, ResultT]:
        @functools.wraps(self._function)
        def call(*args: Params.args, **kwargs: Params.kwargs) -> ResultT:
            loop_thread = owner.require_loop_thread()
            return loop_thread.run(self._function(owner, *args, **kwargs))

        return call
