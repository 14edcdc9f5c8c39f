"""Measurements: what a run changed, cost, took, and how close it came to the full run."""
