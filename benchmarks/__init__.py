"""Speed and memory, measured; never asserted."""
