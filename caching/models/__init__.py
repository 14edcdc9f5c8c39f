"""Models as the engine sees them: family adapter, autoencoder, noise schedule, class names."""

from caching.models.family import Conditioning, Family
from caching.models.loading import SHIPPED, load_model
from caching.models.model import Model

__all__ = ["SHIPPED", "Conditioning", "Family", "Model", "load_model"]
