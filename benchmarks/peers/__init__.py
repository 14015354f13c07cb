"""Other task queues on Redis, each in its documented best settings: ``<name>/peer.py`` is run by an environment of its own."""
