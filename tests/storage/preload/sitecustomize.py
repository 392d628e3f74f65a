"""Makes the disk of a data directory fail, in every process that finds this file first: see `tests.storage.disks`.

It can also kill processes of one kind before a certain change of that disk, and put their clock forward or back.

What Python opens and syncs is refused by an audit hook, what SQLite writes by functions in place of its system calls
(`xSetSystemCall` of its unix VFS), so that both get the errors of the system that a real disk would give.
"""

import ctypes
import datetime
import errno
import mmap
import os
import signal
import sys
import time
from pathlib import Path

CONTROL = os.environ.get("TEST_DISK_CONTROL")
GOOD, FULL, READ_ONLY, COUNTS = range(4)
MODE, LEFT, NEXT, FREE, STEPS, AHEAD = range(6)
BYTES = 48
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_TEMPORARY = getattr(os, "O_TMPFILE", 0) & ~getattr(os, "O_DIRECTORY", 0)


class _Disk:
    """The state of the disk, in memory that the test maps as well.

    A mode; while that is COUNTS, how many writes go through before the next mode begins, and which one that is: of GOOD
    only the one write fails between them; the bytes that are free, less than none for what there really is; the changes
    after which a mortal process dies, 0 for never; and by how many seconds clocks are ahead.
    """

    def __init__(self, control, root, mortal):
        with Path(control).open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), BYTES)).cast("q")
        self._root = Path(os.path.realpath(root))
        self._mortal = mortal in sys.orig_argv

    def step(self):
        """Die before this change of the disk, if it is the one."""
        if self._mortal and self._cells[STEPS]:
            self._cells[STEPS] -= 1
            if not self._cells[STEPS]:
                os.kill(os.getpid(), signal.SIGKILL)

    def ahead(self):
        return self._cells[AHEAD]

    def has(self, path):
        try:
            written = os.fsdecode(path)
        except TypeError:  # an open file
            return False
        return Path(os.path.realpath(written)).is_relative_to(self._root)

    def fault(self, *, needs_room=True):
        """Return the error that a write gives now, 0 for none."""
        if self.mode == COUNTS and needs_room:
            self._cells[LEFT] -= 1
            if self._cells[LEFT] < 0:
                self._cells[MODE] = self._cells[NEXT]
                if self.mode == GOOD:
                    return errno.EIO
        if self.mode == READ_ONLY:
            return errno.EROFS
        return errno.ENOSPC if self.mode == FULL and needs_room else 0

    @property
    def mode(self):
        return self._cells[MODE]

    def has_room_again(self):
        """Let some writes go through on a full disk: a file of some size was removed."""
        if self.mode == FULL:
            self._cells[LEFT], self._cells[NEXT] = 50, FULL
            self._cells[MODE] = COUNTS

    def free(self):
        return self._cells[FREE]


def _refuse(number):
    if number:
        raise OSError(number, os.strerror(number))


def _install(disk):
    _watch_python(disk)
    _watch_sqlite(disk)
    _set_clocks(disk)
    sync, look = os.fsync, os.statvfs

    def fsync(descriptor):
        disk.step()
        _refuse(disk.fault())
        sync(descriptor)

    def statvfs(path):
        found = look(path)
        free = disk.free()
        if free < 0 or not disk.has(path):
            return found
        return os.statvfs_result((*found[:3], free // found.f_frsize, free // found.f_frsize, *found[5:]))

    def in_place(write):
        """Refuse a change of a file that is open where nothing may be changed; room it needs none."""

        def call(descriptor, *arguments):
            _refuse(errno.EROFS if disk.mode == READ_ONLY else 0)
            return write(descriptor, *arguments)

        return call

    os.fsync, os.statvfs = fsync, statvfs
    os.pwrite, os.ftruncate = in_place(os.pwrite), in_place(os.ftruncate)


def _watch_python(disk):
    removals = {"os.remove", "os.rmdir", "os.rename", "os.truncate", "os.utime"}

    def hook(event, arguments):
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES and disk.has(path):
                disk.step()
                makes = not Path(os.fsdecode(path)).exists() or bool(flags & _TEMPORARY)
                if makes or disk.mode == READ_ONLY:
                    _refuse(disk.fault())
        elif event == "os.mkdir":
            if disk.has(arguments[0]):
                disk.step()
                _refuse(disk.fault())
        elif event in removals and disk.has(arguments[0]):
            disk.step()
            _refuse(errno.EROFS if disk.mode == READ_ONLY else 0)
            if event == "os.remove" and Path(os.fsdecode(arguments[0])).name == "reserve":
                disk.has_room_again()

    sys.addaudithook(hook)


def _set_clocks(disk):
    """Let the clocks that show the time of day be ahead; those that measure are not the operator's to set."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + disk.ahead()
    time.time_ns = lambda: nanoseconds() + disk.ahead() * 10**9
    if os.environ.get("TEST_CLOCK"):
        _set_dates(disk)


def _set_dates(disk):
    """Put a class in the place of `datetime` whose `now` is ahead, and whose instances are those of the plain one."""
    import sqlite3  # noqa: F401, PLC0415 - which looks for the plain class when it is imported

    plain = datetime.datetime

    class Kind(type(plain)):
        def __instancecheck__(cls, value):
            return isinstance(value, plain)

    class Ahead(plain, metaclass=Kind):
        def __new__(cls, *arguments, **named):
            return plain(*arguments, **named)

        @classmethod
        def now(cls, tz=None):
            return plain.now(tz) + datetime.timedelta(seconds=disk.ahead())

    datetime.datetime = Ahead


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("functions", ctypes.c_void_p * 13),
        (
            "set_system_call",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
        ),
        ("get_system_call", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    ]


_kept = []
"""What SQLite calls must not be collected."""


def _watch_sqlite(disk):
    import _sqlite3  # noqa: PLC0415

    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)

    def replace(name, kind, make):
        address = vfs.contents.get_system_call(ctypes.cast(vfs, ctypes.c_void_p), name)
        if address:
            replacement = kind(make(kind(address)))
            _kept.append(replacement)
            pointer = ctypes.cast(replacement, ctypes.c_void_p)
            vfs.contents.set_system_call(ctypes.cast(vfs, ctypes.c_void_p), name, pointer)

    def writing(original):
        def call(*arguments):
            disk.step()
            number = disk.fault()
            if number:
                ctypes.set_errno(number)
                return -1
            return original(*arguments)

        return call

    def opening(original):
        def call(path, flags, mode):
            if flags & _WRITES and disk.has(path) and disk.mode in (FULL, READ_ONLY):
                number = disk.fault(needs_room=not Path(os.fsdecode(path)).exists())
                if number:
                    ctypes.set_errno(number)
                    return -1
            return original(path, flags, mode)

        return call

    integer, pointer, size = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
    result, offset = ctypes.c_ssize_t, ctypes.c_int64
    for name in (b"pwrite", b"pwrite64"):
        replace(name, ctypes.CFUNCTYPE(result, integer, pointer, size, offset, use_errno=True), writing)
    replace(b"write", ctypes.CFUNCTYPE(result, integer, pointer, size, use_errno=True), writing)
    replace(b"open", ctypes.CFUNCTYPE(integer, ctypes.c_char_p, integer, integer, use_errno=True), opening)


if CONTROL:
    _install(_Disk(CONTROL, os.environ["TEST_DISK_ROOT"], os.environ.get("TEST_MORTAL")))
