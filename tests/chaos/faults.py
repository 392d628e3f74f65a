"""The faults that are tried, in the order of docs/faults.md, which `make chaos` writes from this list."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A row of the table; its tests get the marker `chaos`.

    Attributes:
        what: happens.
        seen: what a caller or an operator sees of it.
        kept: what is not lost.
        recovery: when all is as before.
        tests: that show it, relative to `tests`: files, or single tests as `file::name`.
    """

    what: str
    seen: str
    kept: str
    recovery: str
    tests: tuple[str, ...]

    def covers(self, test: str) -> bool:
        """Tell whether a test, by its id relative to `tests`, is one of those that show it."""
        plain = test.partition("[")[0]
        return any(plain == name or plain.startswith(f"{name}::") for name in self.tests)


FAULTS = (
    Fault(
        "A worker is killed, hangs, or is stopped and continued after its attempt is over",
        "the job runs again, at most three times; late writes are refused",
        "the last checkpoint; the model has the same bytes",
        "the start of a worker; for one that hangs after `CONVSERVE_HEARTBEAT_TIMEOUT`",
        ("jobs/test_recovery.py",),
    ),
    Fault(
        "A worker is killed at 200 random points",
        "the job runs again",
        "the model has the same bytes; no file is torn, and none is left that nobody needs",
        "15 s at most",
        ("chaos/test_killed_workers.py::test_kill_9_at_random_points",),
    ),
    Fault(
        "A worker is killed before each change of the disk: opening, syncing, renaming and removing files, writing"
        " pages of the database",
        "the job runs again",
        "the model has the same bytes; no file is torn, and none is left that nobody needs",
        "15 s at most",
        ("chaos/test_killed_workers.py::test_kill_9_before_each_change_of_the_disk",),
    ),
    Fault(
        "A node of a training job over several is killed or frozen, or its worker is",
        "the job runs again, on as many nodes",
        "the last checkpoint; the model has the bytes of as many shares on one machine",
        "the start of a worker; for a node that is frozen after half of `CONVSERVE_HEARTBEAT_TIMEOUT`",
        ("jobs/test_nodes.py",),
    ),
    Fault(
        "A job whose worker always dies",
        "`failed` after three attempts: `worker_lost`, or `out_of_memory` where the system says so",
        "the data set and all other jobs",
        "at once",
        (
            "jobs/test_lost_workers.py",
            "jobs/test_recovery.py::test_three_deaths_are_a_failure",
        ),
    ),
    Fault(
        "The server is killed, with or without its workers, while a training job runs",
        "connections end; after the next start the job goes on",
        "everything answered; the model has the same bytes",
        "the start of a server",
        ("http/test_recovery.py",),
    ),
    Fault(
        "The server is killed before any change of its disk, during jobs, uploads, deletions and alias switches, and"
        " while it brings an older database up to date",
        "connections end",
        "everything answered; nothing is left over",
        "the start of a server, 2 s",
        ("chaos/test_killed_servers.py",),
    ),
    Fault(
        "Cancelling is raced against success, failure, death and putting back, in 1,000 random sequences",
        "whoever comes second is refused",
        "what the first was answered",
        "at once",
        ("chaos/test_races.py::test_cancel_against_completion",),
    ),
    Fault(
        "10,000 jobs wait while servers and workers are killed, and two processes believe that the queue is theirs",
        "the list takes less than 50 ms",
        "every job; none is done twice",
        "the start of a server",
        ("chaos/test_many_jobs.py",),
    ),
    Fault(
        "100 identical POSTs with one idempotency key arrive at once, also in several processes",
        "one is done; the others get its answer, or 409 while it is under way",
        "one thing is made",
        "at once",
        (
            "chaos/test_races.py::test_identical_posts_with_one_key",
            "http/test_several_uploads.py::test_two_calls_with_one_key_create_one_thing",
        ),
    ),
    Fault(
        "The worker or the server dies while an upload is read",
        "the data set is `ingesting` until it has been read again",
        "the upload; no partial file is left",
        "the start of a worker",
        ("data/test_ingestion_recovery.py",),
    ),
    Fault(
        "A serving process among several is killed or hangs, also the one that runs jobs",
        "its connections end; another adopts the jobs",
        "everything answered",
        "at once; 30 s for one that hangs",
        ("http/test_serving_processes.py", "http/test_hung_processes.py", "http/test_several_uploads.py"),
    ),
    Fault(
        "The clock jumps a day ahead or back",
        "keys and kept answers expire by the clock; jobs go on, and nobody is taken for dead",
        "everything",
        "at once",
        ("chaos/test_clock.py",),
    ),
    Fault(
        "Mixed work goes on for long (`make soak`)",
        "nothing",
        "memory and open files stay as they are",
        "",
        ("chaos/test_soak.py",),
    ),
    Fault(
        "The disk is full, or read-only",
        "507 or 503 for what stores, predictions go on, readiness says no",
        "everything; nothing half written",
        "at once",
        ("storage/test_failing_disk.py", "storage/test_small_disk.py"),
    ),
    Fault(
        "One write fails, or the disk is full, while a job of any kind runs",
        "`queued`, `waiting_for.storage`",
        "the last checkpoint; the result has the same bytes, and no attempt is spent",
        "11 s at most, and the start of a worker",
        ("storage/test_jobs_on_failing_disk.py",),
    ),
    Fault(
        "The server starts, stops or is killed, or its lease cannot be renewed, while the disk is full or read-only",
        "at the start status 1 and what to do; at the end status 0",
        "everything; the last checkpoint; the attempt, unless it was read-only",
        "the next start; of the lease 11 s at most",
        ("storage/test_servers_on_failing_disk.py",),
    ),
    Fault(
        "The database is removed, replaced or damaged while the server runs",
        "readiness says no",
        "what the backup has",
        "a restored backup",
        (
            "storage/test_failing_disk.py::test_readiness_finds_that_the_database_is_gone",
            "store/test_probe.py",
        ),
    ),
    Fault(
        "Thousands of connections that send nothing whole, or more than files can be open",
        "probes and callers are answered; `connections_ended` in the log",
        "all that is at work",
        "at once; each ends after 10 s",
        ("http/test_many_callers.py",),
    ),
    Fault(
        "Heads, bodies and readers that are slow or stop",
        "408, or the connection ends",
        "the work of others",
        "10 to 30 s, by settings",
        ("http/test_slow_callers.py",),
    ),
    Fault(
        "500 slow uploads, 1,000 pollers and 500 event streams that vanish",
        "predictions are answered, uploads beyond the bound get 503",
        "everything; files, threads and memory return",
        "at once",
        ("http/test_crowd.py",),
    ),
    Fault(
        "SIGTERM while streams are open, bodies half received, predictions wait and jobs run",
        "streams end with a word, bodies and what is not answered in time get 503",
        "everything accepted; jobs go on from their checkpoints",
        "the next start",
        ("http/test_stopping.py",),
    ),
    Fault(
        "A backup is taken during uploads, training, deletions and moves of an alias",
        "nothing: all goes on",
        "all of one moment; restored, the job ends in the same bytes",
        "the start of a server",
        ("care/test_living.py",),
    ),
    Fault(
        "A backup or a restore is killed at any step",
        "no backup of that name, or a whole one; no directory, or a whole one",
        "all earlier backups; the next takes away what was left",
        "the same command again",
        ("care/test_killed_backups.py",),
    ),
    Fault(
        "A move of rows or files to other services, or a restore there, is killed or breaks off",
        "no rows in the new place; files that it had carried",
        "the installation where it was",
        "the same command again, which passes over what is there",
        (
            "care/test_migrating_rows.py::test_one_that_is_killed_has_moved_nothing_and_is_begun_again",
            "care/test_migrating_files.py::test_one_that_is_killed_goes_on_where_it_was",
            "care/test_shared_services.py::test_a_restore_that_broke_off_is_begun_again",
        ),
    ),
    Fault(
        "A file of a backup is damaged, missing or forged",
        "the restore names it and makes nothing",
        "all others",
        "another backup",
        ("care/test_hostile_backups.py",),
    ),
    Fault(
        "A model or a data set loses a file, or a bit of it",
        "409 `/problems/damaged` of that one; `convserve check` names it",
        "all others",
        "`convserve check --repair --from`",
        ("care/test_check.py", "http/test_server.py"),
    ),
    Fault(
        "An upgrade would fail",
        "`convserve upgrade` says why",
        "the database as it was",
        "at once",
        ("care/test_upgrade.py",),
    ),
    Fault(
        "An attempt that is over, on a machine that was frozen, goes on writing its files after the next has ended",
        "nothing",
        "what the later attempt wrote; what the late one leaves is removed",
        "at once",
        ("jobs/test_late_attempts.py",),
    ),
    Fault(
        "Of several servers on one database and one bucket the one that runs the jobs is killed, with or without its"
        " worker",
        "its connections end, the others answer; the job runs again",
        "everything answered; the model has the same bytes",
        "15 s at most, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_server_that_runs_the_jobs_is_killed",),
    ),
    Fault(
        "The server that runs the jobs is stopped by SIGTERM and started again, as for another version",
        "its connections end, the others answer",
        "everything; the model has the same bytes, and no attempt is spent",
        "at once, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_server_that_runs_the_jobs_is_stopped_and_started_again",),
    ),
    Fault(
        "The server that runs the jobs is frozen for longer than its lease, with or without its worker, and goes on",
        "another runs the jobs; `duties_lost` in the log of the first, whose late writes are refused",
        "everything; the model has the same bytes, and is there once",
        "15 s at most, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_server_that_runs_the_jobs_is_frozen_and_comes_back",),
    ),
    Fault(
        "The server that runs the jobs, and its worker, are cut off from the database, or from the bucket too, without"
        " a word, and come back",
        "the same; its `/readyz` says 503 meanwhile",
        "the same",
        "15 s at most, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_server_that_runs_the_jobs_is_cut_off",),
    ),
    Fault(
        "The cable is pulled from the machine that runs the jobs (a network namespace), and plugged in again",
        "the same",
        "the same",
        "15 s at most, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_cable_of_the_machine_that_runs_the_jobs_is_pulled",),
    ),
    Fault(
        "A worker of one of several servers is killed",
        "the job runs again",
        "the model has the same bytes",
        "the start of a worker",
        ("cluster/test_server_faults.py::test_the_worker_is_killed",),
    ),
    Fault(
        "Two servers, their machines and workers are killed or frozen by chance while ten jobs and more wait",
        "connections end; jobs run again, `worker_lost` for one that is hit three times",
        "every job; none is done twice, all models have the same bytes",
        "15 s at most, and the start of a worker",
        ("chaos/test_deaths_of_servers.py",),
    ),
    Fault(
        "The bucket is away for half a minute while a job runs",
        "`queued`, `waiting_for.storage`; requests that need a file get 503",
        "the last checkpoint; the model has the same bytes, and no attempt is spent",
        "a minute at most, and the start of a worker",
        ("cluster/test_server_faults.py::test_the_bucket_is_away_for_half_a_minute",),
    ),
    Fault(
        "PostgreSQL is killed while a job of two servers runs, and is back at once, or after 20 s",
        "503 meanwhile",
        "everything answered; the model has the same bytes, and its end is told once",
        "some seconds",
        ("cluster/test_server_faults.py::test_postgres_is_killed_and_comes_back",),
    ),
    Fault(
        "A server is started with the database of one installation and the bucket of another",
        "it says so and ends with a status other than 0",
        "the files of both",
        "at once, with the right names",
        ("cluster/test_ownership.py",),
    ),
    Fault(
        "A worker on Ray, the node that it is on, or the head with all nodes is killed",
        "the job runs again; `ray_away` in the log while there is no head",
        "the last checkpoint; the model has the same bytes, and is there once",
        "the start of a worker; for a node 10 s before it, and the start of another where none is free",
        ("cluster/test_ray.py::test_what_is_killed_costs_no_job",),
    ),
    Fault(
        "A server stops while a job runs on Ray, and starts again",
        "nothing: the job is in the same attempt",
        "everything; the model has the same bytes",
        "the start of a server",
        ("cluster/test_ray.py::test_the_main_path_and_a_server_that_is_replaced",),
    ),
    Fault(
        "A node of Ray dies with its disk while the server is replaced by one with an empty data directory, on"
        " PostgreSQL and an object store",
        "the job runs again",
        "everything",
        "the start of a node and of a worker",
        ("cluster/test_ray.py::test_postgres_s3_and_ray_together_by_setting_variables_only",),
    ),
)
