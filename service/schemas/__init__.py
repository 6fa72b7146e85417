"""Pydantic models of what goes over the wire; nothing else uses them."""
