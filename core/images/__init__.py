"""Bytes to pixels: what a file is, whether it is taken, and its colors. No torch in this room."""
