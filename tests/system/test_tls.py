"""The real processes, with TLS between them and Redis."""

from __future__ import annotations

from pathlib import Path

from tests.support.tls import Authority, tls_in_front
from tests.support.waiting import eventually
from tests.system.conftest import MakeService

SECRET = "pa55-w0rd"


async def test_a_message_is_delivered_over_tls(make_service: MakeService, server_url: str, tmp_path: Path) -> None:
    """Producer, dispatcher and worker reach Redis over ``rediss://`` alone: from scheduling to the delivery."""
    authority = Authority(tmp_path)
    async with tls_in_front(server_url, authority.server("localhost")) as front:
        service = make_service(f"rediss://localhost:{front}/0?ssl_ca_certs={authority.file}")
        await service.start()

        _, accepted = await service.call("POST", "/messages", {"topic": "work", "delay": "200ms"})

        assert (await service.settled(accepted["id"]))["status"] == "delivered"
        await service.stop()


async def test_a_server_that_is_not_believed_is_an_outage_that_says_so(
    make_service: MakeService, server_url: str, tmp_path: Path
) -> None:
    """Readiness and log name the certificate, and tell no password."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with tls_in_front(server_url, authority.server("localhost")) as front:
        service = make_service(f"rediss://mss:{SECRET}@localhost:{front}/0?ssl_ca_certs={other.file}")
        producer, worker = service.spawn("producer"), service.spawn("consumers")
        service.producer_url = await producer.url()

        async def told() -> bool:
            status, ready = await service.call("GET", "/health/ready")
            return status == 503 and "certificate verify failed" in str(ready["reasons"])

        await eventually(told, what="readiness says why")
        await eventually(lambda: "certificate verify failed" in worker.err.read_text(), what="the worker's log says why")
        await service.stop()

    for process in (producer, worker):
        assert "certificate verify failed" in process.err.read_text()
        assert SECRET not in process.err.read_text() + process.out.read_text()
