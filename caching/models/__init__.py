"""Models as the engine sees them: family adapter, autoencoder, noise schedule, class names."""

from caching.models.family import Conditioning, Family
from caching.models.loading import SHIPPED, load_model
from caching.models.model import Model
from caching.models.speed import Speed

__all__ = ["SHIPPED", "Conditioning", "Family", "Model", "Speed", "load_model"]
