"""The default store: one folder with a SQLite database, the truth, and an index beside it."""
