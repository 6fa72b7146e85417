"""The engine: decodes pictures, runs models, explains them. Knows nothing of HTTP."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("seethrough")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0"
