"""The client against a real server, and against things that are none."""

import ssl
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.client import Client, ConvserveError

TINY = {
    "input_shape": [28, 28, 1],
    "layers": [
        {"type": "average_pool2d", "pool_size": 4},
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ],
}


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as made:
        yield made


def test_certificates_of_authorities_are_read_where_they_are_needed(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bool] = []
    create = ssl.create_default_context
    monkeypatch.setattr(
        ssl, "create_default_context", lambda *args, **more: read.append(True) or create(*args, **more)
    )
    with Client(server) as local:
        assert local.ready()
    assert not read
    for address in ("https://127.0.0.1:1", "https://convserve.example.org"):
        read.clear()
        with Client(address):
            assert read


def test_the_catalog_names_what_there_is(client: Client) -> None:
    assert {"conv2d", "dense", "residual"} <= {entry.name for entry in client.catalog.layers()}
    assert {"adam", "sgd"} <= {entry.name for entry in client.catalog.optimizers()}
    assert {"constant", "cosine"} <= {entry.name for entry in client.catalog.schedules()}
    assert "softmax_cross_entropy" in {entry.name for entry in client.catalog.losses()}
    presets = {entry.name: entry.architecture for entry in client.catalog.presets()}
    lenet = presets["lenet-5"]
    assert client.architectures.summary(lenet).totals.parameters == 61_706


def test_an_architecture_is_stored_and_deleted(client: Client) -> None:
    stored = client.architectures.create("tiny", TINY)
    again = client.architectures.get(stored.id)
    assert again.name == "tiny"
    assert client.architectures.summary(again.specification()) == again.summary
    assert stored.id in {entry.id for entry in client.architectures.list()}
    client.architectures.delete(stored.id)
    with pytest.raises(ConvserveError) as caught:
        client.architectures.get(stored.id)
    assert caught.value.status == 404


def test_lists_go_on_over_pages(client: Client) -> None:
    made = [client.architectures.create(f"page {number}", TINY).id for number in range(60)]
    listed = [entry.id for entry in client.architectures.list()]
    assert [identifier for identifier in listed if identifier in made] == made[::-1]
    for identifier in made:
        client.architectures.delete(identifier)


def test_an_error_tells_where_and_what_to_do(client: Client) -> None:
    layers = [{"type": "conv2d", "filters": 1, "kernel_size": 9}]
    with pytest.raises(ConvserveError) as caught:
        client.architectures.summary({"input_shape": [4, 4, 1], "layers": layers})
    error = caught.value
    assert error.status == 422
    assert error.type == "/problems/shape-mismatch"
    assert error.pointer == "/layers/0/kernel_size"
    assert "9x9" in error.detail
    assert error.hint
    assert str(error) == error.detail


def test_train_watch_and_predict(client: Client) -> None:
    rule = {"type": "adam", "learning_rate": 0.02}
    job = client.training_jobs.create(
        TINY, "digits", epochs=2, batch_size=256, name="tiny", seed=3, optimizer=rule
    )
    assert not job.finished
    seen = list(client.training_jobs.watch(job.id, interval=0.05))
    job = seen[-1]
    assert job.status == "succeeded", client.training_jobs.log(job.id)
    assert job.name == "tiny"
    assert job.progress.fraction == 1.0
    assert [figures.epoch for figures in client.training_jobs.metrics(job.id)] == [1, 2]
    assert job.id in {listed.id for listed in client.training_jobs.list(status="succeeded")}
    assert job.model_id is not None
    model = client.models.get(job.model_id)
    assert model.training_job_id == job.id
    accuracy = model.metrics["test_accuracy"]
    assert accuracy is not None
    assert accuracy > 0.5

    picture = client.datasets.picture("digits", 7, split="test")
    assert (picture.split, picture.label) == ("test", str(picture.class_index))
    assert Image.open(BytesIO(picture.content)).size == (28, 28)
    first, second = client.models.predict(model.id, [("a.png", picture.content), ("b.png", picture.content)])
    assert (first.filename, second.filename) == ("a.png", "b.png")
    assert first.label == second.label == first.top[0].label
    assert len(first.top) == 3

    client.training_jobs.delete(job.id)
    client.models.delete(model.id)
    assert model.id not in {listed.id for listed in client.models.list()}


def test_a_job_is_cancelled(client: Client) -> None:
    job = client.training_jobs.create({"preset": "lenet-5"}, "digits", epochs=1000)
    client.training_jobs.cancel(job.id)
    *_, job = client.training_jobs.watch(job.id, interval=0.05)
    assert job.status == "cancelled"
    with pytest.raises(ConvserveError) as caught:
        client.training_jobs.cancel(job.id)
    assert caught.value.status == 409


def test_a_data_set_is_uploaded(client: Client, tmp_path: Path) -> None:
    archive = tmp_path / "shades.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, shade in (("café", 10), ("snow", 240)):
            for number in range(10):
                picture = BytesIO()
                Image.new("L", (12, 9), shade + number).save(picture, "PNG")
                packed.writestr(f"{name}/{number}.png", picture.getvalue())
    dataset = client.datasets.upload(archive, image_size=(8, 6), channels=1, split=(0.6, 0.2, 0.2), seed=4)
    dataset = client.datasets.wait(dataset.id, interval=0.05)
    assert dataset.status == "ready", dataset.error
    assert dataset.name == "shades"
    assert dataset.image_shape == (8, 6, 1)
    assert dict(dataset.splits) == {"train": 12, "dev": 4, "test": 4}
    assert {entry.name: entry.images for entry in dataset.classes} == {"café": 10, "snow": 10}
    labels = {client.datasets.picture(dataset.id, number).label for number in range(dataset.images)}
    assert labels == {"café", "snow"}
    client.datasets.delete(dataset.id)
    assert dataset.id not in {listed.id for listed in client.datasets.list()}


def test_the_key_is_sent(guarded_server: Any) -> None:
    url = guarded_server.url
    with Client(url) as stranger:
        assert stranger.ready()
        with pytest.raises(ConvserveError) as caught:
            next(stranger.models.list())
        assert caught.value.status == 401
        assert caught.value.hint is not None
        assert "CONVSERVE_API_KEY" in caught.value.hint
    with Client(url, api_key=guarded_server.key) as friend:
        assert [model.id for model in friend.models.list()] == ["model_example", "mobilenet-v2-imagenet"]


def test_nobody_is_there() -> None:
    # Nothing listens on the discard port of a machine of today.
    with Client("http://127.0.0.1:9") as client, pytest.raises(ConvserveError) as caught:
        client.models.get("model_example")
    assert caught.value.status is None
    assert "cannot reach" in caught.value.detail
    assert "convserve serve" in (caught.value.hint or "")


class Stranger(BaseHTTPRequestHandler):
    """Some other program that answers on the port."""

    def do_GET(self) -> None:
        status = 200 if self.path.startswith("/v1/models") else 502
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"<html>Hello</html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_something_else_answers(stranger: str) -> None:
    with Client(stranger) as client:
        for call in (lambda: client.models.get("model_example"), lambda: list(client.models.list())):
            with pytest.raises(ConvserveError, match="does not understand") as caught:
                call()
            assert "is this the address" in (caught.value.hint or "")
        with pytest.raises(ConvserveError, match="answered 502") as caught:
            client.training_jobs.get("job_example")
        assert caught.value.status == 502
        assert not client.ready()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConvserveError, match="is no address"):
        Client(url)


def test_a_key_that_cannot_be_sent() -> None:
    with pytest.raises(ConvserveError, match="cannot be sent"):
        Client("http://127.0.0.1:8000", api_key="schlüssel")
