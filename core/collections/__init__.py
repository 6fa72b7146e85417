"""Pictures kept: stored, searched, laid out. Knows model cards, no torch."""
