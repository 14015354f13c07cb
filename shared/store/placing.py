"""Which partition something belongs to that has a name and no id yet."""

from __future__ import annotations

from hashlib import blake2b


def partition_of(name: str, partitions: int) -> int:
    """Rendezvous hashing (Thaler and Ravishankar, 1998): with more partitions, most names stay where they were."""
    return max(range(partitions), key=lambda number: blake2b(f"{name} {number}".encode(), digest_size=8).digest())
