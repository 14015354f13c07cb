"""Lists of messages by state and filter, a page at a time, in the order of their times. Never scans the key space."""
