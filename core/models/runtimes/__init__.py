"""How networks run."""
