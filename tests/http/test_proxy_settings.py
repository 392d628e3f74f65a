"""What an operator says of proxies: read, handed on, and refused where it cannot be meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ROOT_PATH", "convserve", "begins with a slash"),
        ("ROOT_PATH", "/a/../b", "begins with a slash"),
        ("ROOT_PATH", "//b", "begins with a slash"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "host bits"),
        ("TRUSTED_PROXIES", "all", "addresses and networks"),
        ("ALLOWED_HOSTS", "http://cnn.example", "without"),
    ],
)
def test_what_cannot_be_used_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"CONVSERVE_{name}", value)
    with pytest.raises(SettingsError, match=f"CONVSERVE_{name}: .*{words}"):
        load_settings()


def test_settings_of_several_values_go_on_to_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        trusted_proxies="10.0.0.0/8, ::1",
        allowed_hosts="a.example,b.example",
        root_path="/a/b/",
        allowed_origins="https://a.example,http://[::1]:80",
    )
    assert settings.root_path == "/a/b"
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize("root", ["/v1", "/v1/models", "/docs", "/page", "/v2"])
def test_a_path_of_the_service_itself_is_none_to_put_it_below(tmp_path: Path, root: str) -> None:
    with pytest.raises(SettingsError, match="CONVSERVE_ROOT_PATH: paths of the service itself begin with"):
        create_app(Settings(data_dir=tmp_path, root_path=root))


def test_the_command_line_has_an_option_for_the_path(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "app.cli",
        "serve",
        "--data-dir",
        str(tmp_path),
        "--root-path",
        "here",
    ]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "--root-path: use a path" in ended.stderr
