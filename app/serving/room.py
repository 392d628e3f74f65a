"""Room for what arrives: bodies that wait in memory, and uploads on their way to the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import Unavailable


class Bodies:
    """Counts what the bodies of all requests hold that are not answered yet; for one event loop.

    What counts is what has arrived: room that was kept for the rest of a slow body would keep others out.
    """

    def __init__(self, most: int) -> None:
        """Take the most bytes that they may hold together."""
        self._most, self._held = most, 0

    @property
    def held(self) -> int:
        """What they hold now."""
        return self._held

    def room(self, free: int = 0) -> Room:
        """Keep room for the body of a request: from before it is read until it is answered.

        Args:
            free: bytes of it that do not count.
        """
        return Room(self, free)

    def hold(self, count: int, held: int) -> None:
        """Count more bytes of a request that holds some already.

        Raises:
            Unavailable: too many others are held.
        """
        # whatever a single request may be is taken when there is no other
        if self._held > held and self._held + count > self._most:
            raise Unavailable(
                f"requests of {self._held} bytes wait here already, of at most {self._most}",
                code="queue-full",
            )
        self._held += count

    def release(self, count: int) -> None:
        """Count fewer bytes."""
        self._held -= count


class Room:
    """What one request holds of the bytes that all may hold together."""

    __slots__ = ("_bodies", "_free", "_held")

    def __init__(self, bodies: Bodies, free: int) -> None:
        """Hold nothing yet; see `Bodies.room`."""
        self._bodies, self._free, self._held = bodies, free, 0

    def __enter__(self) -> Callable[[int], None]:
        """Return `hold`."""
        return self.hold

    def __exit__(self, *_: object) -> None:
        """Give all of it back."""
        self.release()

    def hold(self, count: int) -> None:
        """Take note that so many bytes more have arrived.

        Raises:
            Unavailable: too many others are held.
        """
        if self._free:
            free = min(self._free, count)
            self._free -= free
            count -= free
        self._bodies.hold(count, self._held)
        self._held += count

    def release(self) -> None:
        """Give all of it back."""
        self._bodies.release(self._held)
        self._held = 0


class Uploads:
    """Counts the uploads that are being received: each has a file open, and up to a megabyte that is not in it yet."""

    def __init__(self, most: int) -> None:
        """Take how many there may be at the same time."""
        self._most, self._count = most, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Receive one while entered.

        Raises:
            Unavailable: too many others are being received.
        """
        if self._count >= self._most:
            raise Unavailable(
                f"{self._count} uploads are being received already, as many as this server takes at a time; "
                "send it again later",
                code="too-many-uploads",
            )
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
