"""``/v2/topics``: URL groups over HTTP and by QStash's official client."""

from __future__ import annotations

import pytest
from qstash.errors import QStashError
from qstash.url_group import Endpoint

from tests.producer.api import Api
from tests.producer.qstash.conftest import Client

ONE, TWO = "https://example.com/one", "https://example.com/two"


async def test_endpoints_are_added_changed_and_removed(client: Client) -> None:
    """A group is there from its first endpoint to its last."""
    await client.call(lambda qstash: qstash.url_group.upsert_endpoints("all", [{"url": ONE, "name": "one"}, {"url": TWO}]))

    found = await client.call(lambda qstash: qstash.url_group.get("all"))

    assert (found.name, found.endpoints) == ("all", [Endpoint(ONE, "one"), Endpoint(TWO, None)])
    assert 0 < found.created_at <= found.updated_at
    assert await client.call(lambda qstash: qstash.url_group.list()) == [found]

    await client.call(lambda qstash: qstash.url_group.upsert_endpoints("all", [{"url": TWO, "name": "two"}]))
    await client.call(lambda qstash: qstash.url_group.remove_endpoints("all", [{"name": "one"}]))
    assert (await client.call(lambda qstash: qstash.url_group.get("all"))).endpoints == [Endpoint(TWO, "two")]

    await client.call(lambda qstash: qstash.url_group.remove_endpoints("all", [{"url": TWO}]))
    assert await client.call(lambda qstash: qstash.url_group.list()) == []


async def test_a_group_is_deleted(client: Client) -> None:
    """With all its endpoints; then it is not found."""
    await client.call(lambda qstash: qstash.url_group.upsert_endpoints("all", [{"url": ONE}]))

    await client.call(lambda qstash: qstash.url_group.delete("all"))

    with pytest.raises(QStashError, match="status: 404"):
        await client.call(lambda qstash: qstash.url_group.get("all"))


async def test_over_http_a_name_that_is_none_is_absent(api: Api) -> None:
    """An endpoint without a name has no such field; null is none."""
    assert (await api.post("/v2/topics/all/endpoints", {"endpoints": [{"url": ONE, "name": None}]})).status == 200

    found = (await api.get("/v2/topics/all")).json

    assert found["endpoints"] == [{"url": ONE}]
    assert (await api.get("/v2/topics")).json == [found]
    assert (await api.call("DELETE", "/v2/topics/all/endpoints", {"endpoints": [{"url": ONE}]})).json == {}


@pytest.mark.parametrize(
    "endpoints",
    [
        [], [{}], [{"name": "one"}], [{"url": "example.com"}], [{"url": "ftp://example.com"}], [{"url": "https://"}],
        [{"url": "https://[::"}], [{"url": ONE, "name": "a b"}], [{"url": ONE}] * 101,
    ],
)  # fmt: skip
async def test_an_endpoint_has_a_url_and_perhaps_a_name(api: Api, endpoints: object) -> None:
    """Whatever else is refused, and nothing is made."""
    answer = await api.post("/v2/topics/all/endpoints", {"endpoints": endpoints})

    assert answer.status in {400, 422}
    assert (await api.get("/v2/topics/all")).status == 404


async def test_what_is_removed_is_named(api: Api) -> None:
    """By a URL or a name."""
    assert (await api.call("DELETE", "/v2/topics/all/endpoints", {"endpoints": [{}]})).status in {400, 422}
    assert (await api.call("DELETE", "/v2/topics/all/endpoints", {"endpoints": [{"name": "one"}]})).status == 404


async def test_a_name_is_letters_digits_and_a_few_signs(api: Api) -> None:
    """As QStash has them."""
    assert (await api.get("/v2/topics/a b")).status == 400
    assert (await api.get(f"/v2/topics/{'a' * 101}")).status == 400
