"""Commands that print how exact and how fast the engine is; `python -m tests.bench.<name>`."""
