"""Why: attribution methods. They return raw values; pictures are made in `core.render`."""
