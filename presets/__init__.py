"""Data that ships with Cachebrush, and the code that makes every byte of it."""
