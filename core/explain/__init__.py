"""Why: attribution methods. They return raw values; scaling and colours are `core.render`'s."""
