"""The sampling loop: samplers, the executor of a schedule, runs and their events."""
