"""Static policies: when to compute, decided before the run from counts or from a trace."""

from caching.policies.ends import ends
from caching.policies.full import full
from caching.policies.interval import every
from caching.policies.threshold import smoothcache

__all__ = ["ends", "every", "full", "smoothcache"]
