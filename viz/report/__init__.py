"""The report of a comparison: one HTML file that needs no network, no script and no server."""
