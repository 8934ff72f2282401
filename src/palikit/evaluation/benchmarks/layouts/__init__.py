"""How the benchmarks' distributors ship them: one small reader for each layout on disk."""
