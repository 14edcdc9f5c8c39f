"""Schedule files: the native JSON format, the row strings in it, and bounded JSON reading."""
