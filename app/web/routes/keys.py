"""API keys: made, listed and revoked by whoever has one with the scope admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from app.api.common import ListOf
from app.api.keys import Key, NewKey
from app.api.requests.keys import KeyRequest
from app.errors import Invalid
from app.ids import KEY, new_id
from app.keys.callers import ENVIRONMENT_NAME
from app.keys.ring import digest_of, new_key
from app.scopes import ADMIN, MEANINGS
from app.services import ServicesDep
from app.store.keys import KeyRecord
from app.store.records import now
from app.web.answers.keys import key as show
from app.web.answers.keys import new_key as show_new
from app.web.answers.rows import answer_rows
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(prefix="/v1/keys", route_class=StrictRoute, tags=["keys"])

_LONGEST = timedelta(days=36500)

KeyReference = Annotated[str, Path(description="The id or the name of a key.")]


@router.post(
    "",
    status_code=201,
    summary="Make a key",
    responses=problems(400, 409, 413, 415, 422),
)
@needs(ADMIN)
def create_key(
    body: Annotated[
        KeyRequest,
        Body(openapi_examples={"to look on": {"value": {"name": "dashboard", "scopes": ["read"]}}}),
    ],
    services: ServicesDep,
    response: Response,
) -> NewKey:
    """Make a key. `key` in the answer is what its holder presents; it is shown this once, and not stored.

    It works at once, in every process. On a server without a key in its settings the first one needs the scope `admin`;
    from then on every call needs a key.
    """
    if body.name == ENVIRONMENT_NAME or body.name.startswith(f"{KEY}_"):
        meant = "the key of the settings" if body.name == ENVIRONMENT_NAME else "an id"
        raise Invalid.at("name", f"{body.name!r} would be taken for {meant}", "choose another name")
    made_at = now()
    if body.expires_at is not None and not made_at < body.expires_at <= made_at + _LONGEST:
        raise Invalid.at(
            "expires_at",
            "it is over already, or more than 100 years ahead",
            "write a time to come with its offset, such as 2027-01-31T12:00:00Z, or leave it out",
        )
    secret = new_key()
    record = KeyRecord(
        new_id(KEY),
        body.name,
        digest_of(secret.encode()),
        [scope for scope in MEANINGS if scope in body.scopes],
        body.expires_at,
        made_at,
    )
    services.store.keys.create(record, needs_admin=services.needs_admin_key)
    response.headers["Location"] = f"{router.prefix}/{record.id}"
    response.headers["Cache-Control"] = "no-store"
    return show_new(record, secret)


@router.get("", summary="List keys")
@needs(ADMIN)
def list_keys(services: ServicesDep) -> ListOf[Key]:
    """List all keys, newest first, those that have expired too."""
    return ListOf(data=answer_rows(filter(None, services.store.keys.all()), show))


@router.get("/{key}", summary="Get a key", responses=problems(404))
@needs(ADMIN)
def get_key(key: KeyReference, services: ServicesDep) -> Key:
    """Return what is known of a key; the key itself is not."""
    return show(services.store.keys.find(key))


@router.delete("/{key}", status_code=204, summary="Revoke a key", responses=problems(404, 409))
@needs(ADMIN)
def delete_key(key: KeyReference, services: ServicesDep) -> None:
    """Revoke a key: from the answer on it is refused in every process, and event streams that it opened end.

    What runs on behalf of its holder goes on. The last key of an admin stays where the settings have none (409).
    """
    services.store.keys.delete(key, needs_admin=services.needs_admin_key)
