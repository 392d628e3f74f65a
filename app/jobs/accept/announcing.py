"""Where the end of a job is announced."""

from __future__ import annotations

from app.api.requests.webhooks import WebhookRequest
from app.errors import Invalid
from app.settings import Settings


def webhook_url(webhook: WebhookRequest | None, settings: Settings) -> str | None:
    """Return the address that is asked for, None where there is none.

    Raises:
        Invalid: there is one, and this server has no secret to sign what it would send.
    """
    if webhook is None:
        return None
    if settings.webhook_key is None:
        detail = "this server has no secret to sign webhooks with"
        hint = "the operator sets one in CONVSERVE_WEBHOOK_SECRET; or leave the webhook out and follow the events"
        raise Invalid.at("webhook", detail, hint, code="no-webhook-secret")
    return webhook.url
