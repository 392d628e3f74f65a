"""What computes predictions is a setting: ONNX Runtime gives the answers of NumPy, by the same calls."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.client import Client
from tests.http.several import Connect, WaitFor, events

Start = Callable[..., ServerProcess]

EXAMPLE = "/v1/models/model_example"
LARGE = "/v1/models/mobilenet-v2-imagenet"
LIBRARY = "onnxruntime"
PHOTO = Path(__file__).parents[1] / "data" / "photos" / "coffee.jpg"
WITHOUT = f"""
import sys
sys.modules["{LIBRARY}"] = None
from app.cli.__main__ import main
sys.argv = ["convserve", "serve", *sys.argv[1:]]
main()
"""
"""A program that serves where the library is not installed."""

only_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux shows it")


def probabilities(answer: httpx.Response) -> list[dict[str, float]]:
    assert answer.status_code == 200, answer.text
    return [{top["label"]: top["probability"] for top in entry["top"]} for entry in answer.json()["data"]]


def ask(client: httpx.Client, pictures: list[bytes], model: str = EXAMPLE) -> list[dict[str, float]]:
    files = [("files", (f"{number}.png", picture)) for number, picture in enumerate(pictures)]
    return probabilities(client.post(f"{model}/predict", files=files, params={"top_k": 10}))


def close(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> bool:
    return len(found) == len(wanted) and all(
        one == pytest.approx(other, abs=1e-4) for one, other in zip(found, wanted, strict=True)
    )


def computed_by(client: httpx.Client, model: str = EXAMPLE) -> str | None:
    library: str | None = client.get(model).json()["computed_by"]
    return library


def has_loaded(server: ServerProcess) -> bool:
    return LIBRARY in Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def digits(http: httpx.Client) -> list[bytes]:
    return [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(40)]


@only_linux
def test_onnx_runtime_answers_as_numpy_does(
    start: Start, connect: Connect, http: httpx.Client, digits: list[bytes]
) -> None:
    server = start(INFERENCE=LIBRARY, CORES="2")
    with server as url, connect(url) as client:
        assert computed_by(client) is None
        assert not has_loaded(server)  # nothing is imported that nobody has asked for
        for pictures in (digits[:1], digits[:7], digits):
            assert close(ask(client, pictures), ask(http, pictures))
        assert has_loaded(server)
        assert computed_by(client) == LIBRARY
        with Client(url) as caller:
            assert caller.models.get("model_example").computed_by == LIBRARY
        # from many callers at once, on the event loop and in threads
        wanted = ask(http, digits)
        with ThreadPoolExecutor(16) as callers:
            asked = [callers.submit(ask, client, digits[n : n + 1 + n % 3]) for n in range(37)]
            for n, answer in enumerate(asked):
                assert close(answer.result(), wanted[n : n + 1 + n % 3])
        # a damaged picture is its own fault
        images = [base64.b64encode(picture).decode() for picture in (digits[0], b"no picture", digits[1])]
        params = {"errors": "report", "top_k": "10"}
        answer = client.post(f"{EXAMPLE}/predict", json={"images": images}, params=params)
        first, bad, last = answer.json()["data"]
        assert bad["error"]["pointer"] == "/images/1"
        tops = [{top["label"]: top["probability"] for top in entry["top"]} for entry in (first, last)]
        assert close(tops, wanted[:2])
        # what looks inside runs the network itself, and sees the same
        picture = {"files": digits[0]}
        inside = [one.post(f"{EXAMPLE}/embedding", files=picture).json()["data"] for one in (client, http)]
        assert inside[0] == inside[1]


@only_linux
def test_numpy_computes_where_nobody_wants_otherwise(
    start: Start, connect: Connect, digits: list[bytes]
) -> None:
    server = start()
    with server as url, connect(url) as client:
        ask(client, digits[:1])
        assert computed_by(client) == "numpy"
        assert not has_loaded(server)


@pytest.mark.slow
def test_auto_takes_what_it_has_found_to_be_quicker(
    start: Start, connect: Connect, wait_for: WaitFor, http: httpx.Client, digits: list[bytes]
) -> None:
    server = start(INFERENCE="auto", LOG_FORMAT="json", SPLIT_MODELS="1")
    photo = [PHOTO.read_bytes()]

    def compared(times: int) -> list[dict[str, Any]]:
        def lines() -> list[dict[str, Any]] | None:
            found = events(server, "model_computed_by")
            return found if len(found) == times else None

        return list(wait_for(lines, f"{times} comparisons in the log"))

    with server as url, connect(url) as client:
        assert close(ask(client, digits[:7]), ask(http, digits[:7]))
        assert close(ask(client, photo, LARGE), ask(http, photo, LARGE))
        found = {line["id"]: line for line in compared(2)}
        assert set(found) == {"model_example", "mobilenet-v2-imagenet"}
        for identifier, line in found.items():
            assert line["largest_difference"] < 1e-4
            times = line["onnxruntime_times_as_quick"]
            if times != 1:  # what is written is rounded
                assert line["library"] == (LIBRARY if times > 1 else "numpy")
            assert computed_by(client, f"/v1/models/{identifier}") == line["library"]
        # let go of and loaded again, it is compared again
        assert client.post("/v2/repository/models/mobilenet-v2-imagenet/unload").status_code == 200
        assert computed_by(client, LARGE) is None
        ask(client, photo, LARGE)
        compared(3)


@pytest.mark.slow
def test_models_are_loaded_ahead_and_let_go_of_as_with_numpy(
    start: Start, connect: Connect, wait_for: WaitFor, digits: list[bytes]
) -> None:
    with start(INFERENCE=LIBRARY) as url, connect(url) as client:
        made = {"name": "digits"}
        file = client.get(f"{EXAMPLE}/weights").content
        raw = {"Content-Type": "application/octet-stream"}
        second = client.post("/v1/models/import", content=file, headers=raw, params=made).json()
        assert second["computed_by"] is None
        alias = {"model_id": second["id"]}
        assert client.put("/v1/models/digits/aliases/live", json=alias).status_code == 200
    # there is room for one
    with start(INFERENCE=LIBRARY, MODELS_BYTES="1000000") as url, connect(url) as client:
        other = "/v1/models/digits@live"
        wait_for(lambda: computed_by(client, other) == LIBRARY, "the model loaded ahead")
        photo = [PHOTO.read_bytes()]
        ask(client, photo, LARGE)
        assert (computed_by(client, other), computed_by(client, LARGE)) == (None, LIBRARY)
        wanted = ask(client, digits[:3], other)
        assert (computed_by(client, other), computed_by(client, LARGE)) == (LIBRARY, None)
        assert client.delete("/v1/models/digits/aliases/live").status_code == 204
        assert client.delete(f"/v1/models/{second['id']}").status_code == 204
        assert close(ask(client, digits[:3]), wanted)


@pytest.mark.slow
def test_each_of_several_processes_decides(start: Start, connect: Connect, digits: list[bytes]) -> None:
    server = start(INFERENCE=LIBRARY, WORKERS="2", CORES="2", LOG_FORMAT="json")
    with server as url, connect(url) as client:
        wanted = ask(client, digits[:3])
        for _ in range(8):
            with connect(url) as other:
                assert close(ask(other, digits[:3]), wanted)
                assert computed_by(other) in {LIBRARY, None}


def test_without_the_library_a_server_that_needs_it_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", WITHOUT, "--data-dir", str(tmp_path / "data"), "--port", "0"]
    for workers in ("1", "2"):
        settings = {"CONVSERVE_INFERENCE": LIBRARY, "CONVSERVE_WORKERS": workers}
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        said = done.stderr.strip()
        assert said.startswith("Error: CONVSERVE_INFERENCE=onnxruntime needs what this")
        assert "pip install onnxruntime" in said
        assert "Traceback" not in said
    assert not (tmp_path / "data" / "server.json").exists()


def test_without_the_library_auto_is_numpy(
    start: Start, connect: Connect, tmp_path: Path, digits: list[bytes]
) -> None:
    command = (sys.executable, "-P", "-c", WITHOUT)
    log = tmp_path / "log"
    server = ServerProcess(tmp_path / "data", log, {"INFERENCE": "auto", "LOG_FORMAT": "json"}, command)
    with server as url, connect(url) as client:
        ask(client, digits[:1])
        assert computed_by(client) == "numpy"
    (line,) = events(server, "model_without_onnxruntime")  # all is written when a server has ended
    assert line["id"] == "model_example"
    assert LIBRARY in json.dumps(line["error"])


def test_an_unknown_library_is_refused_in_plain_words(start: Start, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        command, env={"CONVSERVE_INFERENCE": "torch"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "CONVSERVE_INFERENCE: use 'auto', 'numpy' or 'onnxruntime', not torch" in done.stderr
