"""HTTP in: checks what callers ask for and stores it. Knows no stream and runs no handler."""
