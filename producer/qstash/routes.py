"""Every route of QStash's API that is answered here."""

from __future__ import annotations

from producer.qstash import dlq, flow_control, keys, logs, messages, publishing, queues, schedules, url_groups

ROUTES = (
    *publishing.ROUTES,
    *messages.ROUTES,
    *schedules.ROUTES,
    *url_groups.ROUTES,
    *queues.ROUTES,
    *dlq.ROUTES,
    *logs.ROUTES,
    *flow_control.ROUTES,
    *keys.ROUTES,
)
