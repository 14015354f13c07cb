"""Commands for people: run the whole service on this machine."""
