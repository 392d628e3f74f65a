"""A real server for whoever asks, over real HTTP."""

import functools
import gc
import importlib
import os
import secrets
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import hypothesis
import pytest

from app.cli.launch import SERVE, LaunchError, ServerProcess
from app.files.locks import is_locked, read_holder
from app.jobs.processes import THREADS_VARIABLES
from app.settings import available_cores
from tests.chaos.faults import FAULTS
from tests.cluster.postgres import database_url, postgres  # noqa: F401 - fixtures
from tests.cluster.ray_cluster import ray_cluster  # noqa: F401 - fixture
from tests.cluster.seaweed import prefix, s3  # noqa: F401 - fixtures

# before NumPy is imported: test processes take all cores by themselves, and threads of BLAS would wait for one another
for variable in THREADS_VARIABLES:
    os.environ.setdefault(variable, "1")

# A machine that others share is slow at times; that is no fault of what is tested.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

DEADLINE = 300.0  # beyond any doubt, on a machine that has better things to do
FINISHED = {"succeeded", "failed", "cancelled"}

LONGEST = (
    "packaging/test_image.py",
    "jobs/test_recovery.py",
    "http/test_recovery.py",
    "cli/test_demo.py",
    "cli/test_commands.py",
    "data/test_dataset_uploads.py",
    "data/test_downloads.py",
    "http/test_targets.py",
    "http/test_job_ends.py",
    "http/test_warm_start.py",
    "http/test_training_jobs.py",
    "data/test_additions.py",
    "store/test_data_directories.py",
)
"""Files that go first, so that no test process is left alone with a long one at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make chaos` ask for more than a change can wait for."""
    parser.addoption(
        "--counts", type=int, default=0, help="percent of the full counts at which faults are tried"
    )
    parser.addoption(
        "--chance", type=int, default=secrets.randbelow(10**6), help="what draws of chance begin with"
    )
    parser.addoption(
        "--minutes", type=float, default=0.3, help="for how long tests/chaos/test_soak.py goes on"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Say how draws of chance can be repeated."""
    return f"chance: --chance={config.getoption('--chance')}"


def pytest_configure(config: pytest.Config) -> None:
    """Make interrupts arrive, however this was started: `nohup make test &` ignores them, and so would every child."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # who ends the tests ends what they have started, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # each client that a test makes would read all certificates of authorities, for servers that speak plain HTTP
    ssl.create_default_context = functools.cache(ssl.create_default_context)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None]:
    """Look for no garbage among the thousands of tests, neither now nor later: that takes a third of the collection."""
    gc.disable()
    try:
        import_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def import_share(config: pytest.Config) -> None:
    """Import a share of all tests, another one in each test process: the others find it compiled."""
    process = getattr(config, "workerinput", None)
    if process is None or config.args != config.getini("testpaths"):
        return
    root = Path(__file__).parent
    modules = sorted(path.relative_to(root.parent).with_suffix("") for path in root.rglob("test_*.py"))
    for module in modules[int(process["workerid"].removeprefix("gw")) :: process["workercount"]]:
        # what is wrong with it is said when it is collected
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(module.parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many test processes there are: more than cores, since tests wait for servers and workers."""
    return available_cores() + 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Cancel what a test that failed has left running on the shared server: it would slow all others down."""
    report = yield
    url = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(url, str):  # a test's own server goes with it
        with suppress(httpx.HTTPError), connect(url) as client:
            for kind in ("training-jobs", "evaluations", "batch-predictions"):
                for job in client.get(f"/v1/{kind}?limit=200").json().get("data", ()):
                    if job["status"] not in FINISHED:
                        client.post(f"/v1/{kind}/{job['id']}/cancel")
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those that show what becomes of faults; bring all into that order; of the others, none moves."""
    root = Path(__file__).parent
    show_faults = {name for fault in FAULTS for name in fault.tests}
    for item in items:
        file, _, test = item.nodeid.partition("[")[0].removeprefix(f"{root.name}/").partition("::")
        if not show_faults.isdisjoint((file, f"{file}::{test}")):
            item.add_marker("chaos")
    places = {root / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that all tests share; it must not matter what others left on it."""
    folder = tmp_path_factory.mktemp("server")
    # Nothing is ever fetched from where it is published: this mirror is empty. Other tests run beside: a job takes
    # one core, and jobs on more are tested with servers of their own.
    settings = {"DATASET_MIRROR": str(folder / "mirror"), "CORES": "1"}
    with ServerProcess(folder / "data", folder / "log", settings) as url:
        yield url


@pytest.fixture(scope="session")
def http(server: str) -> Iterator[httpx.Client]:
    """A client of the shared server."""
    with connect(server) as client:
        yield client


class Guarded(NamedTuple):
    """A server that answers only to who has its key."""

    url: str
    key: str
    log: Path


@pytest.fixture(scope="session")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with a key that all tests share."""
    folder = tmp_path_factory.mktemp("guarded")
    key = "a-long-random-key"
    with ServerProcess(folder / "data", folder / "log", {"API_KEY": key}) as url:
        yield Guarded(url, key, folder / "log")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Make a server of one's own, not started yet; what is left running is killed."""
    made: list[ServerProcess] = []

    def make(
        name: str = "data", *, command: Sequence[str] = SERVE, port: int = 0, **settings: str
    ) -> ServerProcess:
        process = ServerProcess(tmp_path / name, tmp_path / f"{name}.log", settings, command, port)
        made.append(process)
        return process

    yield make
    for process in made:
        with suppress(LaunchError):
            process.kill()
        for lock in process.data_dir.glob("jobs/*/lock"):
            # Workers outlive a server that was killed: that is the point of them, but not here.
            pid = read_holder(lock)
            if pid is not None and is_locked(lock):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """Start a process of one's own, as `subprocess.Popen` does; what still runs at the end is killed."""
    begun: list[subprocess.Popen[Any]] = []

    def start_process(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        process: subprocess.Popen[Any] = subprocess.Popen(*arguments, **options)
        begun.append(process)
        return process

    yield start_process
    for process in begun:
        process.kill()
        process.communicate()


def connect(url: str, **headers: str) -> httpx.Client:
    """Open a client that no proxy of the environment gets in the way of."""
    # without the certificates of authorities: they take longer to read than most calls to be answered
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # all connections are kept: of those that are too many one may be closed while another thread is handed it
    kept = httpx.Limits()
    return httpx.Client(
        base_url=url, timeout=60, trust_env=False, headers=headers, verify=no_tls, limits=kept
    )


@pytest.fixture(scope="session", name="connect")
def _connect() -> Callable[..., httpx.Client]:
    return connect


def wait_for(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Ask until the answer is true, and return it."""
    limit, pause = time.monotonic() + DEADLINE, 0.02
    while time.monotonic() < limit:
        if answer := condition():
            return answer
        # less and less often: who is asked takes the processor from what is waited for
        time.sleep(pause)
        pause = min(1.2 * pause, 0.15)
    raise AssertionError(f"{what} did not come true within {DEADLINE:.0f} s")


@pytest.fixture(scope="session", name="wait_for")
def _wait_for() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def ready() -> Callable[[httpx.Client, str], dict[str, Any]]:
    """Wait until a data set is made, and return it; where it fails the test does so at once, with the error."""

    def wait(client: httpx.Client, dataset_id: str) -> dict[str, Any]:
        def made() -> dict[str, Any] | None:
            dataset = client.get(f"/v1/datasets/{dataset_id}").json()
            return dataset if dataset["status"] != "ingesting" else None

        dataset: dict[str, Any] = wait_for(made, f"the end of data set {dataset_id}")
        assert dataset["status"] == "ready", dataset["error"]
        return dataset

    return wait


@pytest.fixture(scope="session")
def finished() -> Callable[[httpx.Client, str], dict[str, Any]]:
    """Wait for the end of a training job, and return it."""

    def wait(client: httpx.Client, job_id: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            job = client.get(f"/v1/training-jobs/{job_id}").json()
            return job if job["status"] in FINISHED else None

        return wait_for(ended, f"the end of {job_id}")

    return wait


@pytest.fixture(scope="session")
def leaves() -> Callable[[ServerProcess], None]:
    """Wait for the end of a server that has been told to stop; it must end with status 0."""

    def wait(process: ServerProcess) -> None:
        looking = os.WEXITED | os.WNOWAIT | os.WNOHANG
        wait_for(lambda: os.waitid(os.P_PID, process.pid, looking), "the end of the server")
        process.stop()  # sends no signal to what has ended, and looks at its status

    return wait
