"""Metrics: pure functions of truths and answers, each true to a named original. No torch."""
