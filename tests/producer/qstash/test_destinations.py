"""Where a message goes: the rest of a path, as clients and proxies leave it, and the query that belongs to it. Pure."""

from __future__ import annotations

import pytest

from producer.qstash.destinations import Destination, destination_of
from shared.errors import InvalidField


@pytest.mark.parametrize(
    ("text", "query", "url"),
    [
        ("https://example.com", "", "https://example.com"),
        ("https://example.com/a%2Fb/%20?x", "", "https://example.com/a%2Fb/%20?x"),
        ("https:/example.com/a", "", "https://example.com/a"),
        ("HTTPS://example.com/A", "", "https://example.com/A"),
        ("https%3A%2F%2Fexample.com%2Fa%252Fb", "", "https://example.com/a%2Fb"),
        ("https%3a//example.com/a", "", "https://example.com/a"),
        ("http://example.com//a//b", "", "http://example.com//a//b"),
        ("https://example.com/a", "x=1&y=%26+2&x=3", "https://example.com/a?x=1&y=%26+2&x=3"),
        ("https://example.com/a", "x=1&upstash-delay=1s&Upstash-Forward-X=2&y", "https://example.com/a?x=1&y"),
        ("https://example.com/a", "%75pstash-delay=1s", "https://example.com/a"),
        ("https://example.com/a", "qstash_token=secret&x=1", "https://example.com/a?x=1"),
        ("https%3A%2F%2Fexample.com%2F%3Fx%3D1", "y=2", "https://example.com/?x=1&y=2"),
    ],
)
def test_a_url_is_taken_as_it_stands(text: str, query: str, url: str) -> None:
    """But for a slash that a proxy took away, and for escapes of the whole. Options and the key stay here."""
    assert destination_of(text, query) == Destination(url=url)


@pytest.mark.parametrize("text", ["everybody", "a.b_c-1", "https", "http.example.com"])
def test_what_is_no_url_is_the_name_of_a_group(text: str) -> None:
    """Without a scheme it is none."""
    assert destination_of(text) == Destination(group=text)


@pytest.mark.parametrize("text", ["", "example.com/a", "a b", "ftp://example.com", "//example.com", "a" * 129, "javascript:x"])
def test_what_is_neither_is_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(InvalidField, match="expected a URL such as"):
        destination_of(text)


@pytest.mark.parametrize("text", ["api/llm", "api/llm/v1", "api/email"])
def test_models_are_no_destination(text: str) -> None:
    """They could be taken for something else; the words say what is not there."""
    with pytest.raises(InvalidField, match="LLM"):
        destination_of(text)
