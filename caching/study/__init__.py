"""The study: every method at the same work, judged over many seeds beside its plain rivals."""
