"""Pictures and widgets: everything a person sees, made from plain arrays and never from tensors."""
