"""Commands as a person types them, against the server that all tests share."""

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest

from app.cli.main import main

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(server: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, as if its output went into a pipe."""

    def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patched:
            patched.delenv("CONVSERVE_API_KEY", raising=False)
            for name, value in {"CONVSERVE_URL": server, "COLUMNS": "80", **variables}.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["convserve", *words])
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    main()
                    status = 0
                except SystemExit as end:
                    status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    return command
