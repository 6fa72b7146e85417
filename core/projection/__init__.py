"""Stored vectors laid out in two or three dimensions. No torch in this room."""
