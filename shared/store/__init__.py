"""The only code that knows Redis. Everything else speaks of messages, deliveries and outages."""
