"""Time to work: moves messages that are due from the due sets to the streams. Knows no handler and no HTTP API."""
