"""Benchmarks: this service, its peers and the limits of what they stand on, as ratios within one run."""
