"""Networks of one's own: a folder with a `model.toml`, code and weights."""
