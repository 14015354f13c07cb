"""A webhook that names a URL group and no URL: in its place, one for each endpoint that the group has when it is due. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from shared.record import Options, Record, Webhook
from shared.settings import WEBHOOK
from shared.store.chunks import Draft
from shared.store.url_groups import UrlGroup


def spread(record: Record, group: UrlGroup) -> list[Draft]:
    """Everything but the URL is as in the message itself."""
    webhook = record.options.webhook or Webhook()
    return [
        Draft(WEBHOOK.name, record.kind, record.body, options=_options(record, webhook, endpoint.url, endpoint.name))
        for endpoint in group.endpoints
    ]


def _options(record: Record, webhook: Webhook, url: str, endpoint: str | None) -> Options:
    return replace(record.options, webhook=replace(webhook, url=url, endpoint=endpoint))
