"""Lessons as data: files that teachers write, what they may ask for, and how a page stands."""

from viz.lessons.files import load_lesson
from viz.lessons.values import Facts, Lesson, LessonError, Score

__all__ = ["Facts", "Lesson", "LessonError", "Score", "load_lesson"]
