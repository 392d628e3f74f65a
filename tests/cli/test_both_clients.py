"""Every method of both clients, in one story that is told to each of them."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import AsyncClient, Client
from tests.cli.awaited import DOCUMENT, OWN, Awaited, documented, everything, methods, refused, resources
from tests.cli.stories import TINY, archive, data_sets, models, operations, training


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """What either client asks for, by the method and the path in the OpenAPI document."""
    asked: set[tuple[str, str]] = set()
    # A path without names to put in comes first: /v1/datasets/downloads is no data set.
    patterns = {
        path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        for path in sorted(DOCUMENT, key=lambda path: path.count("{"))
    }

    def note(request: httpx.Request) -> None:
        path = next(path for path, pattern in patterns.items() if pattern.fullmatch(request.url.path))
        asked.add((request.method, path))

    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def sending(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        note(request)
        return send(client, request, **options)

    async def sending_async(
        client: httpx.AsyncClient, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        note(request)
        return await send_async(client, request, **options)

    monkeypatch.setattr(httpx.Client, "send", sending)
    monkeypatch.setattr(httpx.AsyncClient, "send", sending_async)
    return asked


async def story(client: Any, url: str, folder: Path) -> None:
    assert await client.ready()
    assert (await client.system()).needs_key is False
    for path in DOCUMENT:
        if path.startswith("/v1/catalog/"):
            assert await getattr(client.catalog, path.rsplit("/", 1)[1])()

    stored = await client.architectures.create("tiny", TINY)
    assert stored == await client.architectures.get(stored.id)
    assert stored.id in {entry.id for entry in await everything(client.architectures.list())}
    small = await client.architectures.summary(TINY)
    assert small.totals.parameters == 500
    large = await client.architectures.summary(TINY, batch_size=1000)
    assert large.totals.training_bytes > small.totals.training_bytes
    compared = await client.architectures.compare(stored.id, {"preset": "lenet-5"})
    assert compared.differences.parameters.values == (500, 61_706)
    drawn = await client.architectures.diagram(stored.id)
    assert drawn == await client.architectures.diagram(TINY)
    assert b"dense_1" in drawn
    assert (await client.architectures.diagram(TINY, folded=False, accept="image/png")).startswith(b"\x89PNG")
    await client.architectures.delete(stored.id)
    assert (await refused(client.architectures.get(stored.id))).status == 404

    signed = await client.sign("/v1/datasets/digits/images/17?size=64", seconds=60)
    assert httpx.get(url + signed.address).content.startswith(b"\x89PNG")
    assert httpx.get(url + signed.address.replace("=64", "=65")).status_code == 403
    assert (await refused(client.sign("/v1/keys"))).status == 422

    # The first key would close this server to all other tests: tests/http/test_keys.py makes some.
    assert await client.keys.list() == ()
    assert (await refused(client.keys.create("reader", ["read"]))).status == 409
    assert (await refused(client.keys.get("nobody"))).status == 404
    assert (await refused(client.keys.revoke("nobody"))).status == 404

    await operations(client, folder)
    await data_sets(client, folder)
    model = await training(client)
    await models(client, model, folder)
    evaluation = await client.evaluations.create(model, "digits", split="dev")
    *_, watched = await everything(client.evaluations.watch(evaluation.id, interval=0.05))
    evaluation = await client.evaluations.wait(evaluation.id, interval=0.05)
    assert watched == evaluation
    assert evaluation.report == (await client.evaluations.get(evaluation.id)).report
    assert evaluation.id in await client.evaluations.log(evaluation.id)
    assert (await everything(client.evaluations.events(evaluation.id)))[-1].kind == "end"
    assert evaluation.metrics.accuracy == evaluation.report.accuracy
    assert evaluation.id in {entry.id for entry in await everything(client.evaluations.list())}
    assert b"<svg" in await client.evaluations.confusion_matrix(evaluation.id)
    counts = await client.evaluations.confusion_counts(evaluation.id)
    assert sum(map(sum, counts.matrix)) == evaluation.report.images
    assert (await client.evaluations.mistakes(evaluation.id)).startswith(b"\x89PNG")
    assert list(await client.evaluations.worst(evaluation.id)) == evaluation.report.mistakes
    wrong = await everything(client.evaluations.predictions(evaluation.id, wrong=True))
    assert {entry.number for entry in evaluation.report.mistakes} <= {entry.number for entry in wrong}
    assert (await client.evaluations.compare(evaluation.id, evaluation.id)).p_value == 1
    assert (await refused(client.evaluations.cancel(evaluation.id))).status == 409
    await client.evaluations.delete(evaluation.id)

    batch = await client.batch_predictions.create(model, archive(folder / "batch.zip"), top_k=1)
    *_, batch = await everything(client.batch_predictions.watch(batch.id, interval=0.05))
    assert (
        batch == await client.batch_predictions.wait(batch.id) == await client.batch_predictions.get(batch.id)
    )
    assert batch.id in await client.batch_predictions.log(batch.id)
    assert (await everything(client.batch_predictions.events(batch.id)))[-1].kind == "end"
    assert (batch.status, batch.progress.images, batch.filename) == ("succeeded", 12, "batch.zip")
    assert batch.id in {entry.id for entry in await everything(client.batch_predictions.list())}
    assert (await client.batch_predictions.result(batch.id)).count(b"\r\n") == 13
    assert (await refused(client.batch_predictions.cancel(batch.id))).status == 409
    await client.batch_predictions.delete(batch.id)
    await client.models.delete(model)


@pytest.mark.slow
def test_the_story_told_to_the_client_that_blocks(
    server: str, tmp_path: Path, made: set[tuple[str, str]]
) -> None:
    with Client(server) as client:
        awaited = Awaited(client)
        asyncio.run(story(awaited, server, tmp_path))
        assert awaited.used == methods(client)
    assert made == documented(), "the client has no method for some calls of the service"


@pytest.mark.slow
def test_the_story_told_to_the_client_that_is_awaited(
    server: str, tmp_path: Path, made: set[tuple[str, str]]
) -> None:
    async def run() -> None:
        async with AsyncClient(server) as client:
            awaited = Awaited(client)
            await story(awaited, server, tmp_path)
            assert awaited.used == methods(client)

    asyncio.run(run())
    assert made == documented()


def test_both_have_the_same_to_offer() -> None:
    with Client("http://127.0.0.1:1") as blocking:
        awaited = AsyncClient("http://127.0.0.1:1")
        assert methods(blocking) == methods(awaited)
        assert {type(part) for part in resources(blocking).values()} == {
            type(part) for part in resources(awaited).values()
        }
        for name, attribute in methods(blocking) - {("", own) for own in OWN}:
            shown = getattr(resources(blocking)[name], attribute)
            assert shown.__doc__, (name, attribute)
            assert shown.__doc__ == getattr(resources(awaited)[name], attribute).__doc__
        asyncio.run(awaited.close())
