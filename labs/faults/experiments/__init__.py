"""Experiments: steady state, failure, recovery, and whether the hypothesis held."""
