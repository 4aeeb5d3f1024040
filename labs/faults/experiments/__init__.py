"""Experiments: a steady state, a failure, a recovery, and what the hypothesis is worth."""
