"""The built-in handlers, one file a topic."""
