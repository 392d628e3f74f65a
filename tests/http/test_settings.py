"""Settings come from the environment, are checked once, and go on to workers without the key."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.hosts import is_loopback
from app.main import create_app
from app.processes.listener import misspelt_variables
from app.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CONVSERVE_{name.upper()}", raising=False)


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_a_worker_sees_the_same_settings_but_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        data_dir=Path("here"),
        host="::",
        port=0,
        api_key="secret-key",
        max_jobs=3,
        checkpoint_seconds=1.5,
    )
    environment = settings.environment()
    assert "secret-key" not in str(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert load_settings() == settings.model_copy(update={"api_key": None})


def test_the_data_directory_is_the_same_wherever_a_worker_starts() -> None:
    assert load_settings(data_dir=Path("here")).data_dir == Path.cwd() / "here"


def test_what_is_passed_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_PORT", "9000")
    assert load_settings(port=None).port == 9000
    assert load_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAX_JOBS", "0"),
        ("CHECKPOINT_SECONDS", "nan"),
        ("GRACE_SECONDS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("API_KEY", "with a space"),
        ("API_KEY", "schlüssel"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CONVSERVE_{name}", value)
    with pytest.raises(SettingsError, match=f"^CONVSERVE_{name}: "):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_JOBS", "0", "use 1 or more, not 0"),
        ("PORT", "70000", "use 65535 or less, not 70000"),
        ("PORT", "http", "write a whole number, not http"),
        ("GRACE_SECONDS", "-1", "use more than 0, not -1"),
        ("GRACE_SECONDS", "soon", "write a number, not soon"),
        ("CHECKPOINT_SECONDS", "inf", "write a finite number, not inf"),
        ("WEBHOOK_PRIVATE", "maybe", "write true or false, not maybe"),
        ("LOG_LEVEL", "loud", "use 'debug', 'info', 'warning' or 'error', not loud"),
        ("API_KEY", "with a space", "use printable ASCII characters without spaces"),
        (
            "DATABASE_URL",
            "mysql://me:secret@db/rows",
            "begin it with postgresql+psycopg://; without it an SQLite file is the database",
        ),
        (
            "DATABASE_URL",
            "postgresql://me:secret@db/?sslmode=require",
            "end it with the name of a database: postgresql+psycopg://user:password@host:port/name",
        ),
    ],
)
def test_a_bad_value_is_described_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"CONVSERVE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"CONVSERVE_{name}: {words}"


def test_every_number_is_checked_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        for value in ("-1", "1e400", "nothing of the kind"):
            monkeypatch.setenv(f"CONVSERVE_{name.upper()}", value)
            said = ""
            try:
                load_settings()
            except SettingsError as error:
                said = str(error)
            assert "nput should" not in said
            assert "factory" not in said
            monkeypatch.delenv(f"CONVSERVE_{name.upper()}")


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVSERVE_MAXJOBS", "CONVSERVE_QQQ", "CONVSERVE_URL", "CONVSERVE_PORT", "CONVSERVER_PORT"):
        monkeypatch.setenv(name, "1")
    assert misspelt_variables() == {"CONVSERVE_MAXJOBS": "CONVSERVE_MAX_JOBS", "CONVSERVE_QQQ": None}


@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CONVSERVE_API_KEY", value)
    assert load_settings().api_key is None


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_API_KEY", "secret-key\n")
    settings = load_settings()
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "secret-key"
    assert "secret-key" not in repr(settings)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load_settings().port = 1  # type: ignore[misc]


def test_cores_are_shared_among_the_jobs() -> None:
    assert load_settings(cores=8, max_jobs=3).worker_threads == 2
    assert load_settings(cores=1, max_jobs=3).worker_threads == 1


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_no_application_without_a_key_beyond_loopback() -> None:
    with pytest.raises(SettingsError, match="CONVSERVE_API_KEY"):
        create_app(load_settings(host="0.0.0.0"))  # noqa: S104
    create_app(load_settings(host="0.0.0.0", api_key="key"))  # noqa: S104


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_processes_together_have_what_is_set_for_all_of_them(workers: int) -> None:
    whole = load_settings(workers=workers, cores=8, max_queue=1000, split_models=9)
    share = whole.share()
    divided = {name for name in Settings.model_fields if getattr(share, name) != getattr(whole, name)}
    expected = {"compute_bytes", "cores", "max_queue", "max_queue_bytes", "models_bytes", "split_models"}
    expected |= {"max_connections", "max_uploads"}
    assert divided == (expected if workers > 1 else set())
    for name in expected:
        of_all = getattr(whole, name)
        assert of_all - workers < workers * getattr(share, name) <= of_all


def test_each_process_has_a_little_of_what_is_too_little_for_all() -> None:
    share = load_settings(workers=8, cores=2, max_queue=1, split_models=0).share()
    assert (share.cores, share.max_queue, share.split_models) == (1, 1, 0)
