"""The parent of several processes that serve one data directory on one port.

It binds the socket and holds the lock of the directory, and each child gets both. It starts children, starts others in
place of those that die or hang, and passes signals on; it answers no request, and does no work. Parent and child have a
socket between them: by it a child says that it listens, or why it cannot, and its end says that the other is gone.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

from app.files.locks import FileLock
from app.log import Log
from app.processes.board import BEAT_SECONDS, Board, Pulse
from app.processes.listener import announced, begin_log, bind
from app.processes.member import READY, Handed, take, unusable
from app.processes.series import Places
from app.processes.wake import Wake
from app.settings import Settings, SettingsError

log = Log(__name__)

T = TypeVar("T")

MODULE = "app.cli.serving_process"
_STABLE_SECONDS = 10.0
"""How long a process has to live for its end to count as one by itself."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_DRAIN_SECONDS = 30.0
"""How long children may take to stop beyond the grace of their jobs."""
_HUNG_SECONDS = 30.0
"""After so long without a sign of life of its event loop a process counts as hung: it has answered nobody meanwhile.

One that is only busy gives signs: what takes longer than moments is computed in other threads, which let the loop have
its turn."""
_START_SECONDS = 120.0
"""How long the first sign may take: until then, programs are read from a disk that may be slow."""
_LAST_SECONDS = 5.0
"""How long one that hangs may take to end at SIGTERM, before it is killed."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def supervise(settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Serve by several processes until SIGTERM or SIGINT, then let all of them drain, and return.

    A second signal ends them at once.

    Args:
        settings: see `app.settings`.
        ready: called with the server's address once one of them listens.

    Raises:
        SettingsError: an address, a port or a data directory that cannot be used.
    """
    settings.check_exposure()
    with closing(bind(settings)) as listener:
        begin_log(settings)
        with (
            take(settings.data_dir) as lock,
            closing(_shared(Board.make, settings)) as board,
            closing(_shared(Places.make, settings)) as places,
            announced(settings, listener, ready) as listening,
        ):
            _Supervisor(settings, listener, lock, board, places, listening).run()
    log.info("stopped")


def _shared(make: Callable[[Path, int], T], settings: Settings) -> T:
    try:
        return make(settings.data_dir, settings.workers)
    except OSError as error:
        raise unusable(settings.data_dir, error) from error


@dataclass
class _Child:
    """A process that was started.

    Attributes:
        process: it.
        channel: our end of the socket between us.
        started: when.
        pulse: whether it lives.
        said: what it has said by the socket.
        hung: that it hangs, in words; None as long as it does not.
        kill_at: when it is killed, because it hangs.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    started: float
    pulse: Pulse
    said: bytes = b""
    hung: str | None = None
    kill_at: float = math.inf


@dataclass
class _Seat:
    """The place of one serving process.

    Attributes:
        number: which one.
        child: what runs there, None where nothing does.
        deaths: how many processes here have died one soon after another.
        not_before: when the next may be started.
    """

    number: int
    child: _Child | None = None
    deaths: int = 0
    not_before: float = 0.0


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        lock: FileLock,
        board: Board,
        places: Places,
        listening: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._lock = lock
        self._board = board
        self._places = places
        self._listening = listening
        self._wake = Wake.make()
        self._selector = selectors.DefaultSelector()
        # the first puts the data directory in order, before any other works in it
        self._seats = [_Seat(0)]
        self._serving = False
        self._signalled = False
        self._drain_until: float | None = None

    def run(self) -> None:
        with closing(self._wake), self._selector, self._signals():
            try:
                while not (self._signalled and not self._children()):
                    self._turn()
            finally:
                self._kill()

    def _turn(self) -> None:
        if not self._signalled:
            for seat in self._seats:
                if seat.child is not None:
                    self._watch(seat, seat.child)
                elif seat.not_before <= time.monotonic():
                    self._start(seat)
        elif self._drain_until is None:
            self._drain_until = time.monotonic() + self._settings.grace_seconds + _DRAIN_SECONDS
            for child in self._children():
                child.process.send_signal(signal.SIGTERM)
        elif time.monotonic() >= self._drain_until:
            log.warning("processes_killed", reason="not done in time")
            self._kill()
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                os.read(key.fd, 1 << 16)
            else:
                self._hear(*key.data)

    def _patience(self) -> float | None:
        """Return for how many seconds nothing is to be done unless something happens."""
        if self._signalled:
            due = [] if self._drain_until is None else [self._drain_until]
        else:
            due = [seat.not_before for seat in self._seats if seat.child is None]
            due.append(time.monotonic() + BEAT_SECONDS)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _children(self) -> list[_Child]:
        return [seat.child for seat in self._seats if seat.child is not None]

    def _kill(self) -> None:
        for child in self._children():
            child.process.kill()

    def _watch(self, seat: _Seat, child: _Child) -> None:
        """End a process that hangs; its channel tells when it is gone."""
        now = time.monotonic()
        silent = child.pulse.look(self._board.place(seat.number).last_beat, now)
        if child.hung is not None:
            if now >= child.kill_at:
                child.kill_at = math.inf
                child.process.kill()
        elif silent >= (_HUNG_SECONDS if child.pulse.begun else _START_SECONDS):
            child.hung = f"no sign of life for {silent:.0f} s"
            child.kill_at = now + _LAST_SECONDS
            log.warning("process_hangs", process=child.process.pid, number=seat.number, reason=child.hung)
            child.process.terminate()

    def _start(self, seat: _Seat) -> None:
        self._board.place(seat.number).clear()
        ours, theirs = socket.socketpair()
        given = Handed(
            number=seat.number,
            first=not self._serving,
            parent=os.getpid(),
            listener=self._listener.fileno(),
            lock=self._lock.fileno(),
            board=self._board.descriptor,
            series=self._places.descriptor,
            wake_reader=self._wake.reader,
            wake_writer=self._wake.writer,
            channel=theirs.fileno(),
        )
        with theirs:
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                [sys.executable, "-P", "-m", MODULE, given.model_dump_json()],
                env={**os.environ, **self._settings.environment(secrets=True)},
                stdin=subprocess.DEVNULL,
                pass_fds=given.descriptors(),
                # Ctrl-C in a terminal is for the parent, which passes it on once.
                start_new_session=True,
            )
        now = time.monotonic()
        seat.child = _Child(process, ours, now, Pulse(now))
        with suppress(OSError):  # it is for words only, and a full disk is no reason to end
            self._lock.write_holder(*(child.process.pid for child in self._children()))
        self._selector.register(ours, selectors.EVENT_READ, (seat, seat.child))
        log.info("process_started", process=process.pid, number=seat.number)

    def _hear(self, seat: _Seat, child: _Child) -> None:
        """Take what a process says, or its end."""
        try:
            said = child.channel.recv(1 << 16)
        except ConnectionResetError:
            said = b""
        child.said += said
        if not said:
            self._bury(seat, child)
        elif child.said == READY:
            log.info("process_ready", process=child.process.pid, number=seat.number)
            if not self._serving:
                self._serving = True
                self._listening()
                self._seats += [_Seat(number) for number in range(1, self._settings.workers)]

    def _bury(self, seat: _Seat, child: _Child) -> None:
        """Take note that a process is gone, and say when the next may be started."""
        self._selector.unregister(child.channel)
        child.channel.close()
        child.process.kill()  # one that only closed its end is of no use
        status = child.process.wait()
        seat.child = None
        self._board.place(seat.number).clear()
        self._places.vacate(seat.number)
        if self._signalled:
            return
        reason = child.said.removeprefix(READY).decode(errors="replace") or child.hung
        if not self._serving:
            raise SettingsError(reason or f"the first serving process ended with status {status}")
        now = time.monotonic()
        if now - child.started > _STABLE_SECONDS:
            seat.deaths = 0
        pause = 0.0 if seat.deaths == 0 else min(_FIRST_PAUSE * 2 ** (seat.deaths - 1), _LONGEST_PAUSE)
        seat.deaths, seat.not_before = seat.deaths + 1, now + pause
        log.warning(
            "process_ended",
            process=child.process.pid,
            number=seat.number,
            status=status,
            reason=reason,
            next_in=pause,
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let a signal end the waiting; the second one ends everything."""
        reader, writer = socket.socketpair()
        with reader, writer:
            writer.setblocking(False)
            self._selector.register(reader, selectors.EVENT_READ)
            before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
            descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(descriptor)
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            self._kill()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signalled = True
