"""What made the shipped weights: renders, autoencoder, classifier, diffusion transformer, judge."""
