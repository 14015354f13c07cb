"""Where a QStash call sends its message: the rest of its path is a URL, or the name of a URL group."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web

from producer.context import STORE
from producer.qstash.drafts import Target, targets_of
from producer.qstash.options import PREFIX
from shared.errors import InvalidField
from shared.store import url_groups

_SCHEME = re.compile(r"(?i)^(https?):/{1,2}")
_ESCAPED = re.compile(r"(?i)^https?(%3a|:)(%2f|/)")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TOKEN = "qstash_token"  # noqa: S105 - the name of a parameter
"""QStash takes the key in the query as well: it is not to be told to the destination."""


class Destination(NamedTuple):
    url: str = ""
    group: str | None = None


def destination_of(text: str, query: str = "") -> Destination:
    """``text``: as it stands in the path or in a batch; ``query``: that of the request, of which QStash's own options are none.

    Raises ``InvalidField``.
    """
    if text.startswith("api/"):
        raise InvalidField(
            "destination", "expected a URL or a URL group: destinations of LLM and e-mail providers are not there", 400
        )
    if _ESCAPED.match(text) and not _SCHEME.match(text):
        text = unquote(text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        if not _NAME.fullmatch(text):
            raise InvalidField("destination", f"expected a URL such as https://example.com/hook; got {text[:80]!r}", 400)
        return Destination(group=text)
    own = "&".join(part for part in query.split("&") if part and not unquote(part).lower().startswith((PREFIX, _TOKEN)))
    url = f"{scheme[1].lower()}://{text[scheme.end() :]}"
    return Destination(url=f"{url}{'&' if '?' in url else '?'}{own}" if own else url)


def path_rest(request: web.Request, segments: int) -> str:
    """What of the path, as it was sent, comes after so many segments."""
    return request.rel_url.raw_path.split("/", segments + 1)[-1]


async def targets(request: web.Request, destination: Destination) -> list[Target]:
    """Raises ``NotFound`` for a group that is not there, ``Outage``."""
    if destination.group is None:
        return targets_of(destination.url, None, ())
    group = await url_groups.get(request.app[STORE], destination.group)
    return targets_of("", group.name, group.endpoints)
