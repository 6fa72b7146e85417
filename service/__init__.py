"""The HTTP layer: parses requests, makes one engine call, shapes the answer."""
