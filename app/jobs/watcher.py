"""What happens to all jobs: looked for once in a process, and given to everybody in it who follows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field

from app.errors import Unavailable
from app.log import Log
from app.store import Store
from app.store.news import JobEvent, JobEvents, JobNews, JobProgress
from app.store.queues import Counts
from app.store.records import JobRecord

log = Log(__name__)

LOOK = 0.1
"""Seconds between two looks at whether anything has changed; each takes microseconds, however many follow."""
SPACE = 0.002
"""Seconds until the next look for each who was told something: to tell one takes about a twentieth of it, and a crowd
that follows leaves the event loop to others."""
MOST_WAITING = 256
"""Events that wait for one reader; who is further behind reads them from the database, at its own pace. Of as many jobs
their states wait; where there are more, it is told that the list is another."""
JOBS = "jobs"
"""The list of jobs, among those that are other than before."""
TOGETHER = 16
"""Readers that are told something in one turn of the event loop; between two turns it answers other requests."""
_PAUSE = 1.0
"""Seconds until the next try where the database does not answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs somebody follows: those of these ids, and of these kinds; None is all."""

    job_ids: frozenset[str] | None = None
    kinds: frozenset[str] | None = None

    def takes(self, job: JobEvent | JobProgress) -> bool:
        """Tell whether a job is one of them."""
        return (self.job_ids is None or job.job_id in self.job_ids) and (
            self.kinds is None or job.job_kind in self.kinds
        )

    @property
    def everything(self) -> bool:
        """Whether all jobs are."""
        return self.job_ids is None and self.kinds is None


@dataclass(frozen=True, slots=True)
class News:
    """An event of a job, or how far one is: one object for all who follow it.

    Attributes:
        of: what it is.
        written: what it was written as, by form: it is written once, whoever is first.
    """

    of: JobEvent | JobProgress
    written: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(eq=False, slots=True)
class State:
    """How something is now: one object for all who follow.

    Attributes:
        of: a job that has come into another state, or how many there are that have not ended.
    """

    of: JobRecord | Counts
    _writing: asyncio.Task[bytes] | None = None

    async def written(self, write: Callable[[JobRecord | Counts], bytes]) -> bytes:
        """Return what it is written as: once, by a thread, for whoever asks first; `write` raises nothing."""
        if self._writing is None:
            self._writing = asyncio.create_task(asyncio.to_thread(write, self.of), context=Context())
        # of several who wait for it, one that leaves must not take it along
        return await asyncio.shield(self._writing)


@dataclass(frozen=True, slots=True)
class Gone:
    """A job that was followed has been deleted before it ended."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Changed:
    """There are others, or they are other than before.

    Attributes:
        lists: the names of lists in addresses; and `jobs` where some were deleted, or are other than was told.
    """

    lists: tuple[str, ...]


Happening = News | State | Gone | Changed
"""What one who follows is told."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look has found, for all who follow.

    Attributes:
        events: what has happened.
        running: how far each job is that a worker has.
        progress: those of them that have come further.
        moved: the jobs that have come into another state, by their ids.
        counted: how many have not ended, if that is other than before.
        gone: ids that are followed, and no job has.
        changed: the lists that are other than before.
    """

    events: Sequence[News]
    running: Mapping[str, News]
    progress: Sequence[News]
    moved: Mapping[str, State]
    counted: State | None
    gone: frozenset[str]
    changed: frozenset[str]


@dataclass(eq=False, slots=True)
class _Follower:
    """What waits for one who follows; of states and progress only the newest."""

    wanted: Wanted
    progress: dict[str, News]
    events: deque[News] = field(default_factory=deque)
    moved: dict[str, State] = field(default_factory=dict)
    counted: State | None = None
    gone: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    behind: bool = True
    closed: bool = False
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, found: _Found) -> None:
        wanted = self.wanted
        self.progress = {name: news for name, news in self.progress.items() if name in found.running}
        self.progress |= {news.of.job_id: news for news in found.progress if wanted.takes(news.of)}
        if not self.behind:
            self.events += (news for news in found.events if wanted.takes(news.of))
            if len(self.events) > MOST_WAITING:
                self.behind = True
                self.events.clear()
        if wanted.job_ids is not None:
            self.gone |= found.gone & wanted.job_ids
        if wanted.everything:
            self.changed |= found.changed
            self.counted = found.counted or self.counted
            self.moved |= found.moved
            if len(self.moved) > MOST_WAITING:
                self.moved.clear()
                self.changed.add(JOBS)
        if (
            self.behind
            or self.events
            or self.progress
            or self.moved
            or self.counted
            or self.gone
            or self.changed
        ):
            self.happened.set()

    def close(self) -> None:
        self.closed = True
        self.happened.set()

    def take(self, after: int) -> tuple[list[Happening], int]:
        """Return what waits but for events up to a position, with the position of the last one, and let it go."""
        events, progress, moved, counted = self.events, self.progress, self.moved, self.counted
        gone, changed = self.gone, self.changed
        self.events, self.progress, self.moved, self.counted = deque(), {}, {}, None
        self.gone, self.changed = set(), set()
        # events only: progress is of no position
        new = [news for news in events if isinstance(news.of, JobEvent) and news.of.position > after]
        happenings: list[Happening] = [*new, *moved.values(), *progress.values(), *map(Gone, sorted(gone))]
        if counted is not None:
            happenings.append(counted)
        if changed:
            happenings.append(Changed(tuple(sorted(changed))))
        return happenings, max([after, *(news.of.position for news in new if isinstance(news.of, JobEvent))])


class Watcher:
    """Looks for what is new while anybody follows, and gives it to all of them; for the thread of the event loop.

    Args:
        store: what is watched; other processes write there too.
        stopping: whether this server is about to stop; then nobody is given anything more.
    """

    def __init__(self, store: Store, stopping: Callable[[], bool]) -> None:
        self._store = store
        self._stopping = stopping
        self._followers: set[_Follower] = set()
        self._beginning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._position = 0
        self._running: dict[str, News] = {}
        self._counted: State | None = None
        self._counters: Mapping[str, int] | None = None

    @property
    def followers(self) -> int:
        """How many follow now."""
        return len(self._followers)

    async def follow(
        self, wanted: Wanted, after: int, quiet_seconds: float
    ) -> AsyncGenerator[Sequence[Happening], None]:
        """Yield what happens, all that waits at a time, without end: it ends when this server is about to stop.

        Args:
            wanted: to which jobs.
            after: the position of the last event that was seen.
            quiet_seconds: after how long without anything to say so, by a sequence without members.
        """
        await self._begin()
        with self._follower(wanted) as follower:
            while not follower.closed:
                if follower.behind:
                    until, follower.behind = self._position, False
                    while after < until and not follower.closed:
                        missed = await self._missed(wanted, after, until)
                        if missed.events:
                            yield [News(event) for event in missed.events]
                        after = missed.last if missed.more else until
                    continue
                follower.happened.clear()
                happenings, after = follower.take(after)
                if happenings:
                    yield happenings
                try:
                    async with asyncio.timeout(quiet_seconds):
                        await follower.happened.wait()
                except TimeoutError:
                    yield ()

    @contextmanager
    def _follower(self, wanted: Wanted) -> Iterator[_Follower]:
        running = {name: news for name, news in self._running.items() if wanted.takes(news.of)}
        follower = _Follower(wanted, running)
        self._followers.add(follower)
        self._again = True  # for those of its jobs that may have been deleted before it came
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def _begin(self) -> None:
        """Watch, from now on, if that is not done already."""
        async with self._beginning:
            if self._task is not None and not self._task.done():
                return
            while not self._stopping():
                try:
                    self._position = await asyncio.to_thread(self._store.news.counter)
                except Unavailable:
                    await asyncio.sleep(_PAUSE)
                else:
                    break
            self._running, self._counted, self._counters = {}, None, None
            # of no request: what it logs belongs to none
            self._task = asyncio.create_task(self._watch(), context=Context())

    async def _missed(self, wanted: Wanted, after: int, until: int) -> JobEvents:
        """Read what somebody has not seen, from the database."""
        try:
            return await asyncio.to_thread(
                self._store.news.events, after, until, job_ids=wanted.job_ids, kinds=wanted.kinds
            )
        except Unavailable:
            await asyncio.sleep(_PAUSE)
            return JobEvents((), after, more=True)

    async def _watch(self) -> None:
        """Look again and again, while anybody follows."""
        seen: Mapping[str, int] | None = None
        while self._followers and not self._stopping():
            # before the look: what is written during it is found by the next one
            counters = self._store.counters()
            pause = LOOK
            if self._again or counters is None or counters != seen:
                self._again = False
                try:
                    news = await asyncio.to_thread(self._store.news.look, self._position, self._named())
                except Exception as error:
                    if not isinstance(error, Unavailable):
                        log.exception("jobs_cannot_be_watched")
                    seen, pause = None, _PAUSE
                else:
                    told = await self._give(news, counters)
                    seen, pause = (None, 0.0) if news.events.more else (counters, max(LOOK, SPACE * told))
            await asyncio.sleep(pause)
        for follower in self._followers:
            follower.close()

    def _named(self) -> frozenset[str]:
        named = [
            follower.wanted.job_ids for follower in self._followers if follower.wanted.job_ids is not None
        ]
        return frozenset().union(*named)

    async def _give(self, news: JobNews, counters: Mapping[str, int] | None) -> int:
        """Give all who follow what a look has found; return how many there was something for."""
        before, self._running = self._running, {}
        for entry in news.progress:
            known = before.get(entry.job_id)
            self._running[entry.job_id] = known if known is not None and known.of == entry else News(entry)
        progress = [entry for name, entry in self._running.items() if before.get(name) is not entry]
        changed = self._changed(counters)
        if news.deleted or None in news.moved.values():
            changed |= {JOBS}
        counted = None
        if news.counts is not None and (self._counted is None or self._counted.of != news.counts):
            counted = self._counted = State(news.counts)
        self._position = news.events.last if news.events.more else news.counter
        found = _Found(
            [News(event) for event in news.events.events],
            self._running,
            progress,
            {name: State(job) for name, job in news.moved.items() if job is not None},
            counted,
            news.gone,
            changed,
        )
        # whoever begins from now on begins behind all that
        told = 0
        for follower in tuple(self._followers):
            follower.give(found)
            if follower.happened.is_set():
                told += 1
                if told % TOGETHER == 0:
                    await asyncio.sleep(0)
        return told

    def _changed(self, counters: Mapping[str, int] | None) -> frozenset[str]:
        """Return the lists that are other than at the last look."""
        if counters is None:
            return frozenset()
        before, self._counters = self._counters or counters, counters
        return frozenset(name for name in self._store.LISTS if counters[name] != before[name])
