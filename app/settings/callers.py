"""How many callers there may be at a time, and how slow each may be."""

from typing import Annotated

from pydantic import Field

from app.files.limits import open_files
from app.settings.fields import DIVIDED, Group, Seconds


class Callers(Group):
    """Many and slow callers."""

    max_connections: Annotated[int, DIVIDED] = Field(
        default_factory=lambda: min(16_384, open_files() // 2),
        ge=8,
        description="Most connections that are open at the same time. When there are more, those end that have not yet "
        "sent a whole request line with its headers, the oldest first, then those that wait for their next request; "
        "where all are at work, further requests get 503, and probes an answer. By default half of the files that a "
        "process may have open (`ulimit -Hn`), at most 16,384.",
    )
    header_seconds: Seconds = Field(
        10.0,
        description="Seconds within which a request line and headers have to arrive whole, from their first byte or "
        "from the beginning of a connection on; then 408.",
    )
    body_seconds: Seconds = Field(
        20.0,
        description="Seconds in which at least CONVSERVE_BODY_RATE bytes a second of a body have to arrive, and in "
        "the next as many again; else 408. Time in which the server does not read does not count.",
    )
    body_rate: int = Field(
        240,
        ge=1,
        description="Fewest bytes a second at which a body has to arrive; see CONVSERVE_BODY_SECONDS.",
    )
    answer_seconds: Seconds = Field(
        30.0,
        description="Seconds for which a caller may take nothing of an answer that waits for it, or of an event "
        "stream; then the connection ends.",
    )
    keep_alive_seconds: Seconds = Field(
        75.0, description="Seconds for which a connection may wait for its next request."
    )
    max_uploads: Annotated[int, DIVIDED] = Field(
        32,
        ge=1,
        description="Most uploads of data sets, archives and model files that are received at the same time; further "
        "ones get 503.",
    )
