"""Boxes: parts of the page with their components and their events, one file each."""
