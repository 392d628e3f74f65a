"""What the client takes for a picture, a file and numbers, and what it says when an answer is of another kind."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from app.client import Client, ConvserveError, Picture

EXAMPLE = "model_example"
PHOTO = Path(__file__).parents[1] / "data" / "photos" / "chelsea.jpg"


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    with Client(server) as made:
        yield made


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    file = tmp_path / "digit.png"
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(file)
    return file


def test_a_path_can_be_text_wherever_a_picture_is_taken(client: Client, digit: Path) -> None:
    text = str(digit)
    expected = client.models.predict(EXAMPLE, [digit])
    forms: list[Picture | list[Picture]] = [text, [text], digit, (digit.name, digit.read_bytes())]
    for form in forms:
        assert client.models.predict(EXAMPLE, form) == expected
    assert client.models.account(EXAMPLE, text) == client.models.account(EXAMPLE, [digit])
    assert client.models.account(EXAMPLE, digit).data[0].filename == "digit.png"
    assert client.models.explain(EXAMPLE, text, "gradient").score is not None
    assert client.models.preprocess(EXAMPLE, text) == client.models.preprocess(EXAMPLE, digit)
    kernel = "sobel_x"
    assert client.operations.convolve(text, kernel) == client.operations.convolve(digit, kernel)


def test_files_of_models_can_be_named_by_text(client: Client, tmp_path: Path) -> None:
    file = str(tmp_path / "model.safetensors")
    client.models.export(EXAMPLE, file)
    model = client.models.import_file(file, name="named by text")
    assert model.name == "named by text"
    client.models.delete(model.id)


def test_arrays_are_numbers(client: Client) -> None:
    numbers = np.arange(16, dtype=np.float32).reshape(4, 4)
    kernel = np.array([[1.0, 0.0], [0.0, -1.0]])
    convolved = client.operations.convolve(numbers, kernel)
    assert convolved == client.operations.convolve(numbers.tolist(), kernel.tolist())
    assert np.array_equal(convolved.output, numbers[:-1, :-1] - numbers[1:, 1:])
    layer = {"filters": np.int64(1), "kernel_size": 2}
    weights = {"weight": kernel[:, :, np.newaxis, np.newaxis], "bias": np.zeros(1)}
    gradient = np.ones((3, 3, 1))
    run = client.operations.run("conv2d", numbers, layer=layer, weights=weights, output_gradient=gradient)
    assert np.array_equal(np.squeeze(run.output), convolved.output)


def test_a_kernel_for_a_picture_can_be_an_array(client: Client, digit: Path) -> None:
    kernel = np.eye(3)
    found = client.operations.convolve(digit, kernel)
    assert found == client.operations.convolve(digit, kernel.tolist())


def test_what_is_no_json_is_said_to_be_none(client: Client) -> None:
    with pytest.raises(TypeError, match="set cannot be sent as JSON"):
        client.operations.run("relu", [[{1}]])


def test_too_many_numbers_come_with_the_call_that_gives_a_file(client: Client) -> None:
    with pytest.raises(ConvserveError) as caught:
        client.operations.run("max_pool2d", str(PHOTO), layer={"pool_size": 1})
    assert caught.value.status == 413
    assert "`operations.file`" in str(caught.value.hint)
    assert client.operations.file("max_pool2d", str(PHOTO), layer={"pool_size": 1}).startswith(b"\x89PNG")


def test_a_file_in_another_form_than_was_asked_for_is_an_error() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as page:
        thread = Thread(target=page.serve_forever)
        thread.start()
        try:
            with (
                Client(f"http://127.0.0.1:{page.server_port}") as client,
                pytest.raises(ConvserveError, match="text/html, and image/png was asked for"),
            ):
                client.models.filters_file("m", "conv2d_1")
        finally:
            page.shutdown()
            thread.join()
