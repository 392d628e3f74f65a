"""The two ways to carry out what `app.client.calls` describes: blocking, and with `await`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from typing import Any, TypeVar

import httpx

from app.client.calls import Call, Connect, Pause, Script, Stream
from app.client.errors import ConvserveError, reaching, refusal, unreadable

T = TypeVar("T")


def _understand(base_url: httpx.URL, call: Call[T], answer: httpx.Response) -> T:
    if not (answer.is_success or call.refusable):
        raise refusal(answer, call.as_file)
    try:
        return call.read(answer)
    except (ValueError, KeyError) as error:  # pydantic's and json's are of these
        raise unreadable(base_url, str(call)) from error


class Transport:
    """Carries out calls, and returns when they are done."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def send(self, described: Call[T] | Script[T]) -> T:
        """Make a call, or the calls of a script, and return the result.

        Raises:
            ConvserveError: the service answered with an error, or could not be reached.
        """
        if not isinstance(described, Call):
            return self._run(described)
        base_url = self._http.base_url
        with ExitStack() as opened, reaching(base_url, str(described)):
            answer = self._http.send(described.request(self._http, opened))
        return _understand(base_url, described, answer)

    def stream(self, steps: Stream[T]) -> Generator[T, None, None]:
        """Make the calls of a stream, and yield its items."""
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return
            result = None
            if isinstance(step, Call):
                result = self.send(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            elif isinstance(step, Connect):
                try:
                    yield from self._connect(step)
                except ConvserveError as error:
                    result = error
            else:
                yield step.value

    def _run(self, steps: Script[T]) -> T:
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Call):
                result = self.send(step)
            else:
                time.sleep(step.seconds)

    def _connect(self, step: Connect) -> Generator[Any, None, None]:
        with (
            reaching(self._http.base_url, f"GET {step.path}"),
            self._http.stream("GET", step.path, headers=step.headers) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise refusal(answer)
            for line in answer.iter_lines():
                if (event := step.feed(line)) is not None:
                    yield event


class AsyncTransport:
    """Carries out calls while others go on."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, described: Call[T] | Script[T]) -> T:
        """Make a call, or the calls of a script, and return the result.

        Raises:
            ConvserveError: the service answered with an error, or could not be reached.
        """
        if not isinstance(described, Call):
            return await self._run(described)
        base_url = self._http.base_url
        with ExitStack() as opened, reaching(base_url, str(described)):
            answer = await self._http.send(described.request(self._http, opened))
        return _understand(base_url, described, answer)

    async def stream(self, steps: Stream[T]) -> AsyncGenerator[T, None]:
        """Make the calls of a stream, and yield its items."""
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return
            result = None
            if isinstance(step, Call):
                result = await self.send(step)
            elif isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Connect):
                try:
                    async for event in self._connect(step):
                        yield event
                except ConvserveError as error:
                    result = error
            else:
                yield step.value

    async def _run(self, steps: Script[T]) -> T:
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Call):
                result = await self.send(step)
            else:
                await asyncio.sleep(step.seconds)

    async def _connect(self, step: Connect) -> AsyncGenerator[Any, None]:
        with reaching(self._http.base_url, f"GET {step.path}"):
            async with self._http.stream("GET", step.path, headers=step.headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise refusal(answer)
                async for line in answer.aiter_lines():
                    if (event := step.feed(line)) is not None:
                        yield event
