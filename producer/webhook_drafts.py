"""The part of a message that says where a webhook goes: what types cannot say of it. Pure."""

from __future__ import annotations

from msgspec import UNSET, UnsetType, structs

from producer.fields import retry_of, set_or_none
from producer.own_headers import is_own
from producer.schemas import CallbackIn, Content
from shared.errors import InvalidField
from shared.record import Callback, Options, Webhook
from shared.settings import WEBHOOK
from shared.targets import Targets
from shared.times import parse_delay_ms

FIELDS = ("url", "method", "callback", "failure_callback")


def webhook_options(asked: Content, options: Options, targets: Targets, longest_delay_ms: int) -> Options:
    """The options with what the message asks for. Raises ``InvalidField``, also where it is no webhook and asks for it.

    ``longest_delay_ms``: of a callback.
    """
    if asked.topic != WEBHOOK.name:
        given = next((name for name in FIELDS if getattr(asked, name) is not UNSET), None)
        if given is not None:
            raise InvalidField(given, f"expected topic {WEBHOOK.name} beside it")
        return options
    if asked.url is UNSET:
        raise InvalidField("url", f"this field is required of topic {WEBHOOK.name}")
    check_url("url", asked.url, targets)
    _check_headers("headers", options.headers)
    webhook = Webhook(
        url=asked.url,
        method=set_or_none(asked.method) or "POST",
        callback=_callback("callback", asked.callback, targets, longest_delay_ms),
        failure_callback=_callback("failure_callback", asked.failure_callback, targets, longest_delay_ms),
    )
    return structs.replace(options, webhook=webhook)


def check_url(field: str, url: str, targets: Targets) -> None:
    try:
        targets.check(url)
    except ValueError as error:
        raise InvalidField(field, f"{error}; got {url[:80]!r}") from None


def _check_headers(field: str, headers: dict[str, str]) -> None:
    own = next((name for name in headers if is_own(name)), None)
    if own is not None:
        raise InvalidField(field, f"expected no {own}: the request has one of its own (a media type is content_type)")


def _callback(field: str, asked: CallbackIn | UnsetType, targets: Targets, longest_delay_ms: int) -> Callback | None:
    if asked is UNSET:
        return None
    headers = set_or_none(asked.headers) or {}
    check_url(f"{field}.url", asked.url, targets)
    _check_headers(f"{field}.headers", headers)
    try:
        retry, delay_ms = retry_of(asked.retry), 0 if asked.delay is UNSET else parse_delay_ms(asked.delay)
    except InvalidField as error:
        raise error.inside(field) from None
    except ValueError as error:
        raise InvalidField(f"{field}.delay", str(error)) from None
    if delay_ms > longest_delay_ms:
        raise InvalidField(f"{field}.delay", "expected no more than may be scheduled ahead (Producer.HorizonDays)")
    return Callback(asked.url, set_or_none(asked.method) or "POST", headers, retry, delay_ms, set_or_none(asked.deadline_ms))
