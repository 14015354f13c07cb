"""From what was measured to ``docs/benchmarks.md``: goals, tables, pictures. Measures nothing and knows no figure of its own."""
