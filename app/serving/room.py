"""Room for the bodies of requests that wait in memory, bounded for all of them together."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import Unavailable


class Bodies:
    """Counts what the bodies of all requests hold that are not answered yet; for one event loop."""

    def __init__(self, most: int) -> None:
        """Take the most bytes that they may hold together."""
        self._most, self._held = most, 0

    def room(self, size: int | None) -> Room:
        """Keep room for the body of a request while entered: from before it is read until it is answered.

        Args:
            size: its bytes; None where nobody knows: then they count as they arrive.
        """
        return Room(self, size)

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

    __slots__ = ("_bodies", "_held", "_size")

    def __init__(self, bodies: Bodies, size: int | None) -> None:
        """Hold nothing yet; see `Bodies.room`."""
        self._bodies, self._size, self._held = bodies, size, 0

    def __enter__(self) -> Callable[[int], None]:
        """Return what is called with the number of bytes that have arrived, each time that some have.

        Raises:
            Unavailable: too many others are held; what is returned raises it, too.
        """
        self._hold(self._size or 0)
        return self._hold if self._size is None else _counted_before

    def __exit__(self, *_: object) -> None:
        """Give all of it back."""
        self._bodies.release(self._held)

    def _hold(self, count: int) -> None:
        self._bodies.hold(count, self._held)
        self._held += count


def _counted_before(count: int) -> None:
    """Take no note of bytes that arrive."""
