"""Prediction: what a schedule will cost and how far it will drift, before any run."""
