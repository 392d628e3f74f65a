"""Secrets that lie in files: read at the start, and again when somebody has put another one there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.webhooks import WebhookSender
from app.keys.secrets import Secrets
from app.settings import Settings, SettingsError, load_settings
from app.store import Store
from app.store.records import JobRecord
from tests.http.receiver import Receiver, receiver, verify
from tests.http.several import events, status_anew

__all__ = ["receiver"]

WaitFor = Callable[..., Any]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CONVSERVE_{name.upper()}", raising=False)


class Volume:
    """A folder of secrets as Kubernetes mounts them: a link to a folder that is swapped as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0
        folder.mkdir()

    def put(self, **secrets: str) -> None:
        self._versions += 1
        version = self.folder / f"..version-{self._versions}"
        version.mkdir()
        for name, text in secrets.items():
            (version / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").replace(self.folder / "..data")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_key_is_replaced_while_the_server_runs(
    processes: int,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    wait_for: WaitFor,
    tmp_path: Path,
) -> None:
    volume = Volume(tmp_path / "secrets")
    volume.put(key="first-key\n")
    file = volume.folder / "key"
    service = start(API_KEY_FILE=str(file), WORKERS=str(processes), LOG_FORMAT="json")
    url = service.start()
    if processes > 1:
        wait_for(lambda: len(events(service, "process_ready")) == processes, "all processes")

    def statuses(key: str) -> set[int]:
        """Ask by many connections, of which each process has some."""
        return {status_anew(url, "/v1/models", key) for _ in range(1 if processes == 1 else 12)}

    assert statuses("first-key") == {200}
    assert statuses("second-key") == {401}
    with (
        connect(url, Authorization="Bearer first-key") as reader,
        reader.stream("GET", "/v1/events") as events_of_first,
    ):
        volume.put(key="second-key")
        list(events_of_first.iter_lines())  # ends
    wait_for(lambda: statuses("second-key") == {200}, "the second key")
    wait_for(lambda: statuses("first-key") == {401}, "the end of the first key in all processes")
    # empty, gone, and of what no key can be made: the one before goes on
    spoilt: list[dict[str, str]] = [{"key": " \n"}, {}, {"key": "two words"}]
    for number, secrets in enumerate(spoilt, 1):
        volume.put(**secrets)
        wait_for(
            lambda lines=number * processes: len(events(service, "secret_not_replaced")) >= lines,
            "a line of each process",
        )
        assert statuses("second-key") == {200}
    volume.put(key="third-key")
    wait_for(lambda: statuses("third-key") == {200}, "the third key")
    wait_for(lambda: statuses("second-key") == {401}, "the end of the second key in all processes")
    wait_for(lambda: len(events(service, "secret_replaced")) == 2 * processes, "a line for each key")
    service.kill()
    log = service.log.read_text()
    assert "words" not in log
    assert not [key for key in ("first-key", "second-key", "third-key") if key in log]


def test_webhooks_are_signed_with_what_the_file_has_now(
    tmp_path: Path, receiver: Receiver, wait_for: WaitFor
) -> None:
    first, second = bytes(32), bytes(range(32))
    file = tmp_path / "secret"
    file.write_text("whsec_" + base64.b64encode(first).decode())
    settings = load_settings(webhook_secret_file=file, webhook_private=True)
    secrets = Secrets(settings, interval=0.01)
    store = Store(tmp_path)
    store.migrate()
    sender = WebhookSender(store, settings, lambda: secrets.webhook_key)
    secrets.start()
    sender.start()
    for number, key in enumerate((first, second)):
        file.write_text(base64.b64encode(key).decode())
        wait_for(lambda key=key: secrets.webhook_key == key, "the secret of the file")
        job = JobRecord(new_id(JOB), TRAINING.name, {}, webhook_url=receiver.url)
        store.jobs.create(job)
        store.jobs.request_cancel(job.id)
        wait_for(lambda number=number: len(receiver.got) > number, "the message")
        _, headers, body = receiver.got[number]
        verify(headers, body, key)
    sender.stop()
    secrets.stop()
    store.close()


def test_what_changed_before_the_first_look_is_seen(tmp_path: Path, wait_for: WaitFor) -> None:
    file = tmp_path / "key"
    file.write_text("first")
    settings = load_settings(api_key_file=file)
    file.write_text("other")  # as long, and perhaps within one tick of the file system's clock
    secrets = Secrets(settings, interval=0.01)
    before = secrets.api_key_digest
    secrets.start()
    wait_for(lambda: secrets.api_key_digest != before, "the other one")
    secrets.stop()


def test_a_secret_has_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    monkeypatch.setenv("CONVSERVE_API_KEY_FILE", str(tmp_path / "key"))
    assert load_settings().api_key is not None
    monkeypatch.setenv("CONVSERVE_API_KEY", "key")
    with pytest.raises(SettingsError, match="CONVSERVE_API_KEY and CONVSERVE_API_KEY_FILE are both set"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is no file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "holds no text"),
        (b"k" * 5000, "is longer than 4096 bytes"),
    ],
)
def test_a_file_without_a_secret_keeps_the_server_from_starting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("CONVSERVE_API_KEY_FILE", str(file))
    with pytest.raises(SettingsError, match=f"^CONVSERVE_API_KEY_FILE: .*key {words}"):
        load_settings()


def test_workers_see_the_one_secret_that_they_cannot_do_without(tmp_path: Path) -> None:
    address = "postgresql+psycopg://me:secret@db/rows"
    settings = load_settings(database_url=address, webhook_secret="whsec_" + "MDEy" * 8)
    assert settings.environment()["CONVSERVE_DATABASE_URL"] == address
    assert "me:secret" not in repr(settings)
    file = tmp_path / "address"
    file.write_text(address)
    settings = load_settings(database_url_file=file, api_key="a-key")
    assert settings.database == address
    environment = settings.environment()
    assert environment["CONVSERVE_DATABASE_URL_FILE"] == str(file)
    assert not {"CONVSERVE_DATABASE_URL", "CONVSERVE_API_KEY"} & set(environment)
    # it is read at the start, and nowhere else
    assert settings.secret_files() == {}


def test_workers_see_neither_secrets_nor_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-key")
    settings = load_settings(api_key_file=file)
    environment = settings.environment()
    assert not {"CONVSERVE_API_KEY", "CONVSERVE_API_KEY_FILE"} & set(environment)
    assert not {"the-key", str(file)} & set(environment.values())
    of_member = settings.environment(secrets=True)
    assert of_member["CONVSERVE_API_KEY_FILE"] == str(file)
    assert "CONVSERVE_API_KEY" not in of_member
