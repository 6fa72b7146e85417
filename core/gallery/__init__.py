"""Stored pictures and their feature vectors, and the nearest of them. No torch in this room."""
