"""Resources: what is described once becomes a method that returns, and one that is awaited.

    class Models(Resource[M]):
        @call
        def get(self, model_id: str) -> Call[Model]:
            return record(Model, "GET", f"/v1/models/{model_id}")

`Models(transport).get("m")` returns a `Model` over a `Transport`, and something to await over an
`AsyncTransport`; type checkers know which.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

from app.api.jobs import JobBody
from app.client.calls import Call, Event, Script, Stream, nothing, record
from app.client.events import follow
from app.client.transport import AsyncTransport, Transport

M = TypeVar("M", bound=Transport | AsyncTransport)
P = ParamSpec("P")
T = TypeVar("T")


class Resource(Generic[M]):
    """Some calls that belong together."""

    def __init__(self, transport: M) -> None:
        self._transport = transport


class call(Generic[P, T]):  # noqa: N801 - a decorator
    """Makes a method of what describes a call, or the steps of several."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Call[T] | Script[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, owner: Resource[Transport], kind: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Resource[AsyncTransport], kind: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: Any, kind: Any) -> Any:
        """Return the method of a resource; of the class, what is described there."""
        return self if owner is None else _bound(self._describe, owner, owner._transport.send)


class stream(Generic[P, T]):  # noqa: N801 - a decorator
    """Makes a method of what describes a stream: an iterator, or one for `async for`."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Stream[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, owner: Resource[Transport], kind: Any) -> Callable[P, Generator[T, None, None]]: ...
    @overload
    def __get__(self, owner: Resource[AsyncTransport], kind: Any) -> Callable[P, AsyncGenerator[T, None]]: ...
    def __get__(self, owner: Any, kind: Any) -> Any:
        """Return the method of a resource; of the class, what is described there."""
        return self if owner is None else _bound(self._describe, owner, owner._transport.stream)


def _bound(describe: Callable[..., Any], owner: Any, carry_out: Callable[[Any], Any]) -> Callable[..., Any]:
    described = describe.__get__(owner)

    @functools.wraps(described)
    def method(*args: Any, **kwargs: Any) -> Any:
        return carry_out(described(*args, **kwargs))

    return method


J = TypeVar("J", bound=JobBody)


class Jobs(Resource[M], Generic[M, J]):
    """Work that the service does in the background: what all kinds of it have."""

    _path: ClassVar[str]
    """Where such jobs are."""
    _body: type[J]
    """What one looks like that was asked to stop."""

    @call
    def log(self, job_id: str) -> Call[str]:
        """Return what the workers of a job have written."""
        return Call("GET", f"{self._path}/{job_id}/log", lambda answer: answer.text)

    @call
    def cancel(self, job_id: str) -> Call[J]:
        """Ask a job to stop; it ends as `cancelled` at once while it waits, else a moment later."""
        return record(self._body, "POST", f"{self._path}/{job_id}/cancel")

    @call
    def delete(self, job_id: str) -> Call[None]:
        """Delete a job that does not run, with its files; a model that it made stays."""
        return nothing("DELETE", f"{self._path}/{job_id}")

    @stream
    def events(self, job_id: str, *, after: int | None = None, patience: float = 60.0) -> Stream[Event]:
        """Yield what happens to a job when it happens, to its `end`.

        When the connection breaks, or the service restarts, it goes on after the last event that came.

        Args:
            job_id: the job.
            after: the `id` of an event: begin with the one that follows it.
            patience: seconds without a sign of the service after which to give up.
        """
        return follow(f"{self._path}/{job_id}/events", after, patience)
