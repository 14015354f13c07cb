"""One module a benchmark: each gives lines of figures as it goes."""
