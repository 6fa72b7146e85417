"""The image: built and run without a Docker engine, and what compose says of it."""
