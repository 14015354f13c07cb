"""QStash's HTTP API, version 2 (https://upstash.com/docs/qstash/api), on the same calls of the store as the service's own."""
