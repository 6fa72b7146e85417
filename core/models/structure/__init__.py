"""What a network is made of, seen in one forward: layers, axes, features, maps."""
