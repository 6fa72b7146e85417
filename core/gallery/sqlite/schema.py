"""The tables of a gallery, and the migrations to them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from core.errors import GalleryUnusable

APPLICATION_ID = 0x53656554
"""Says in the file's header whose database it is: "SeeT"."""

PAGE_SIZE_BYTES = 8192
"""A 1280-d vector lies on one page."""

# `ordinal` is an item's place in every listing. It is the row's id, so each index below ends with
# it: (collection, label) lists one label in order without sorting.
_BASE = (
    """
    CREATE TABLE gallery (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        seq INTEGER NOT NULL,
        secret BLOB NOT NULL
    ) STRICT
    """,
    "INSERT INTO gallery (one, seq, secret) VALUES (1, 0, randomblob(16))",
    """
    CREATE TABLE collections (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        model TEXT NOT NULL,
        digest TEXT NOT NULL,
        layer TEXT NOT NULL,
        at TEXT NOT NULL,
        pool TEXT NOT NULL,
        dim INTEGER NOT NULL,
        metric TEXT NOT NULL,
        pixel_space INTEGER NOT NULL,
        keep_originals INTEGER NOT NULL,
        count INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE vectors (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL,
        features BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE pixels (
        number INTEGER PRIMARY KEY REFERENCES vectors (number) ON DELETE CASCADE,
        collection INTEGER NOT NULL,
        pixels BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE items (
        ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL REFERENCES collections (key),
        id TEXT NOT NULL,
        number INTEGER NOT NULL UNIQUE
            REFERENCES vectors (number) DEFERRABLE INITIALLY DEFERRED,
        label TEXT,
        folded TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        class_index INTEGER NOT NULL,
        class_label TEXT NOT NULL,
        probability REAL NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        metadata TEXT NOT NULL,
        UNIQUE (collection, id)
    ) STRICT
    """,
    "CREATE INDEX items_in_order ON items (collection)",
    "CREATE INDEX items_by_label ON items (collection, label)",
    "CREATE INDEX items_by_bytes ON items (collection, sha256)",
    "CREATE INDEX items_by_number ON items (collection, number, label)",
    """
    CREATE TABLE pictures (
        ordinal INTEGER PRIMARY KEY REFERENCES items (ordinal) ON DELETE CASCADE,
        thumbnail BLOB NOT NULL,
        original BLOB
    ) STRICT
    """,
)

_IDEMPOTENCY = (
    """
    CREATE TABLE idempotency (
        collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        answer TEXT NOT NULL,
        seq INTEGER NOT NULL,
        created INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX idempotency_by_age ON idempotency (at)",
)

_PROJECTIONS = (
    """
    CREATE TABLE projections (
        id TEXT PRIMARY KEY,
        collection INTEGER NOT NULL REFERENCES collections (key) ON DELETE CASCADE,
        parameters TEXT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT NOT NULL,
        count INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        ended_at INTEGER,
        result BLOB,
        placement BLOB
    ) STRICT
    """,
    "CREATE INDEX projections_by_age ON projections (collection, created_at)",
)

# What the sender said of the samples of an original, to embed it anew as it was.
_BITS = ("ALTER TABLE pictures ADD COLUMN bits INTEGER",)

# An answer was a list of an item's columns, in an order that another column would have broken.
_TIME = (
    "strftime('%Y-%m-%dT%H:%M:%S', {0} / 1000000, 'unixepoch')"
    " || printf('.%06d+00:00', {0} % 1000000)"
)
_NAMED_ANSWERS = (
    f"""
    UPDATE idempotency SET answer = json_object(
        'id', json_extract(answer, '$[1]'),
        'number', json_extract(answer, '$[2]'),
        'label', json_extract(answer, '$[3]'),
        'metadata', json(json_extract(answer, '$[13]')),
        'sha256', json_extract(answer, '$[4]'),
        'width', json_extract(answer, '$[5]'),
        'height', json_extract(answer, '$[6]'),
        'prediction', json_object(
            'class_index', json_extract(answer, '$[7]'),
            'label', json_extract(answer, '$[8]'),
            'probability', json_extract(answer, '$[9]')
        ),
        'created_at', {_TIME.format("json_extract(answer, '$[10]')")},
        'updated_at', {_TIME.format("json_extract(answer, '$[11]')")},
        'version', json_extract(answer, '$[12]')
    )
    """,
)

# Checksums, see `sums`; NULL = not known yet. They stand in `items`: behind a long blob each would
# cost reading it. What is in `damaged` is kept, but found by no search.
_SUMS = (
    *(
        f"ALTER TABLE items ADD COLUMN {name} INTEGER"
        for name in ("vector_sum", "pixels_sum", "thumbnail_sum", "original_sum", "sum")
    ),
    "ALTER TABLE projections ADD COLUMN sum INTEGER",
    """
    CREATE TABLE damaged (
        number INTEGER PRIMARY KEY REFERENCES vectors (number) ON DELETE CASCADE
    ) STRICT
    """,
)

# As for items. Most items are sound: `items_damaged` has entries for the others only.
_MORE_SUMS = (
    *(
        f"ALTER TABLE {table} ADD COLUMN sum INTEGER"
        for table in ("gallery", "collections", "idempotency")
    ),
    "CREATE INDEX items_damaged ON items (collection, label) WHERE sum < 0",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _BASE,
    _IDEMPOTENCY,
    _PROJECTIONS,
    _BITS,
    _NAMED_ANSWERS,
    _SUMS,
    _MORE_SUMS,
)
"""What makes version n + 1 of version n, from an empty file on; never changed once released."""

VERSION = len(MIGRATIONS)


def check(connection: sqlite3.Connection) -> None:
    """Whether the file is empty or a gallery that this version can read.

    Raises:
        GalleryUnusable: it is another program's, or a newer version's.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    application_id, version = _application_id(connection), version_of(connection)
    if not tables and not application_id and not version:
        return
    if application_id != APPLICATION_ID:
        raise GalleryUnusable("it is a database of another program")
    if version > VERSION:
        raise GalleryUnusable(
            f"a newer version wrote it (its tables are version {version}, "
            f"this one knows up to {VERSION})"
        )


def require_whole(connection: sqlite3.Connection) -> None:
    """Whether the tables and indexes are those that the migrations make.

    Raises:
        GalleryUnusable: the text of one was changed: SQLite would read rows by what it says now.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        migrate(new)
        missing = _described(new) - _described(connection)
    if missing:
        kind, name, _, _ = sorted(missing)[0]
        raise GalleryUnusable(f"its {kind} {name} is damaged: bring back a backup")


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring an empty file or an older version up to date; each step happens whole or not."""
    while version_of(connection) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection, migrations)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the tables; 0 = there are none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _described(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    return {
        (kind, name, table, " ".join((sql or "").split()))
        for kind, name, table, sql in map(tuple, rows)
    }


def _step(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    version = version_of(connection)  # anew: another process may have been quicker
    if version >= len(migrations):
        return
    for statement in migrations[version]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version + 1}")


def _application_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])
