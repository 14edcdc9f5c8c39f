"""Better schedules by measuring: a local search at a fixed budget, kept in Optuna's storage."""

from caching.improve.search import Step, Task, improve

__all__ = ["Step", "Task", "improve"]
