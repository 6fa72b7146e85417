"""The inside of a network: its layers, its filters, its activations, one unit's arithmetic."""
