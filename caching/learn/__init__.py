"""Training of what learned methods need: routers and gates, for the model at hand."""
