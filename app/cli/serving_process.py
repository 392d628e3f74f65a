"""One of several processes that serve on one port. Its argument is what its parent hands it: `app.processes`."""

from __future__ import annotations

import os
import socket
import sys

from app.processes.board import Board
from app.processes.member import READY, Handed, Member
from app.processes.parent import end_with_parent
from app.processes.series import Series
from app.settings import SettingsError, load_settings
from app.web.quick_imports import quick_imports


def main(argument: str) -> None:
    """Serve until stopped by a signal, or until the parent is gone."""
    handed = Handed.model_validate_json(argument)
    for descriptor in handed.descriptors():
        os.set_inheritable(descriptor, False)
    channel = socket.socket(fileno=handed.channel)
    end_with_parent(handed.parent, channel)
    try:
        _serve(handed, channel)
    except SettingsError as error:
        channel.sendall(str(error).encode())
        sys.exit(1)


def _serve(handed: Handed, channel: socket.socket) -> None:
    settings = load_settings()
    imported = quick_imports()
    from app.log.format import configure
    from app.main import create_app
    from app.processes.leaving import leave
    from app.web.server import serve_as_member

    configure(settings)

    def listening() -> None:
        imported()
        channel.sendall(READY)

    member = Member.child(handed, settings.data_dir)
    place = Board(handed.board, settings.workers).place(handed.number)
    series = Series.of(handed.series, handed.number)
    with socket.socket(fileno=handed.listener) as listener:
        serve_as_member(create_app(settings, member, series), settings, place, listener, listening)
    leave()


if __name__ == "__main__":
    main(sys.argv[1])
