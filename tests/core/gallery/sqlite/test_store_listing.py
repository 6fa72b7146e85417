"""Pages, cursors, filters and labels."""

import base64
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidValue, UnknownCollection, UnknownItem
from core.gallery.records import Item, Put, Remove, StoredPrediction
from core.gallery.sqlite import listing
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, spec
from tests.core.gallery.sqlite.stores import opened


def put_all(store: Store, *ids: str, collection: str = "c", **same: object) -> None:
    futures = [store.write(Put(collection, new_item(id, **same))) for id in ids]
    for future in futures:
        future.result()


def listed(store: Store, limit: int = 3, **filters: str) -> list[Item]:
    """All pages, one after the other."""
    page = store.items("c", limit=limit, **filters)
    items = list(page.items)
    while page.next_cursor is not None:
        assert len(page.items) == limit
        page = store.items("c", limit=limit, cursor=page.next_cursor, **filters)
        assert page.items
        items += page.items
    assert page.total == len(items)
    return items


@pytest.mark.parametrize("count", [0, 1, 3, 6, 7])
def test_pages_hold_every_item_once_in_the_order_of_storing(store: Store, count: int) -> None:
    ids = [str(999 - number) for number in range(count)]
    put_all(store, *ids)
    assert [item.id for item in listed(store)] == ids


def test_a_filtered_listing_pages_like_any_other(store: Store) -> None:
    for number in range(20):
        put_all(store, f"{number:02}", label="even" if number % 2 == 0 else "odd")
    evens = [f"{number:02}" for number in range(0, 20, 2)]
    assert [item.id for item in listed(store, label="even")] == evens
    assert [item.id for item in listed(store, text="EVEN")] == evens
    assert [item.id for item in listed(store, label="even", text="1")] == evens[5:]
    assert listed(store, label="neither") == []


def test_items_removed_or_added_between_pages_disturb_no_other(store: Store) -> None:
    put_all(store, *"abcdefg")
    first = store.items("c", limit=3)
    for id in "acd":  # c is the item that the cursor stands behind
        store.write(Remove("c", id)).result()
    put_all(store, "z")
    second = store.items("c", limit=3, cursor=first.next_cursor)
    third = store.items("c", limit=3, cursor=second.next_cursor)
    pages = [[item.id for item in page.items] for page in (first, second, third)]
    assert pages == [["a", "b", "c"], ["e", "f", "g"], ["z"]]


@pytest.mark.parametrize("filters", [{}, {"label": "x"}])
def test_a_late_page_costs_as_much_as_the_first(store: Store, filters: dict[str, str]) -> None:
    put_all(store, *(f"{number:04}" for number in range(1000)), label="x")
    with closing(connect(store._file)) as connection:
        steps = [0]
        connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 1)
        costs, cursor = [], None
        while True:
            steps[0] = 0
            page = listing.page(
                connection, "c", filters.get("label"), None, cursor=cursor, limit=50
            )
            costs.append(steps[0])
            cursor = page.next_cursor
            if cursor is None:
                break
    assert len(costs) == 20
    assert max(costs) <= costs[0] * 1.05  # of SQLite's instructions


def test_a_removed_and_stored_again_item_goes_to_the_end(store: Store) -> None:
    put_all(store, *"abc")
    store.write(Remove("c", "a")).result()
    put_all(store, "a")
    assert [item.id for item in listed(store)] == ["b", "c", "a"]


def test_cursors_go_into_urls_as_they_are(store: Store) -> None:
    put_all(store, *map(str, range(50)))
    cursor = store.items("c", limit=1).next_cursor
    while cursor:
        assert cursor.replace("-", "").replace("_", "").isalnum()
        cursor = store.items("c", limit=1, cursor=cursor).next_cursor


@pytest.mark.parametrize("damage", ["", "x", "äöü", "\ud800", "a b", "=", "A" * 23, "A" * 24, "%%"])
def test_a_broken_cursor_is_refused(store: Store, damage: str) -> None:
    with pytest.raises(InvalidValue, match="cursor"):
        store.items("c", cursor=damage)


def test_a_changed_cursor_is_refused(store: Store) -> None:
    put_all(store, "a", "b")
    cursor = store.items("c", limit=1).next_cursor
    assert cursor is not None
    raw = bytearray(base64.urlsafe_b64decode(cursor))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(InvalidValue, match="cursor"):
            store.items("c", cursor=base64.urlsafe_b64encode(changed).decode())
    with pytest.raises(InvalidValue, match="cursor"):
        store.items("c", cursor=cursor + "A")


def test_a_cursor_of_another_listing_is_refused(store: Store, tmp_path: Path) -> None:
    store.create(spec("d")).result()
    put_all(store, "a", "b")
    put_all(store, "a", "b", collection="d")
    cursor = store.items("c", limit=1).next_cursor
    for collection, filters in (("d", {}), ("c", {"label": "a"}), ("c", {"text": "a"})):
        with pytest.raises(InvalidValue, match="cursor"):
            store.items(collection, cursor=cursor, **filters)
    with opened(tmp_path / "other.db") as other, pytest.raises(InvalidValue, match="cursor"):
        other.items("c", cursor=cursor)


def test_a_page_holds_at_least_one_item(store: Store) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        store.items("c", limit=0)


TEXT = st.text(st.sampled_from("aAbBéÉßsSİi%_\\*?[ \n\x00\x1f'\""), max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(TEXT, st.none() | TEXT, TEXT), max_size=5), TEXT)
def test_text_is_looked_for_as_it_is_in_any_case(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, str | None, str]],
    text: str,
) -> None:
    with opened(tmp_path_factory.mktemp("text") / "g.db") as store:
        wanted = []
        for number, (id, label, named) in enumerate(parts):
            id = f"{number}{id}"
            prediction = StoredPrediction(0, named, 0.5)
            put_all(store, id, label=label, prediction=prediction)
            if any(same_case(text) in same_case(part) for part in (id, label or "", named)):
                wanted.append(id)
        assert [item.id for item in listed(store, text=text)] == wanted


def same_case(text: str) -> str:
    return text.casefold().replace("\x1f", " ")


def test_labels_are_counted_most_frequent_first(store: Store) -> None:
    for number, label in enumerate(["b", None, "a", "c", "c", None, "c"]):
        put_all(store, str(number), label=label)
    assert store.labels("c") == [("c", 3), (None, 2), ("a", 1), ("b", 1)]


def test_collections_are_listed_by_name_with_their_counts(store: Store) -> None:
    store.create(spec("b")).result()
    store.create(spec("a")).result()
    put_all(store, "x", "y", collection="b")
    assert [(each.spec.name, each.count) for each in store.collections()] == [
        ("a", 0),
        ("b", 2),
        ("c", 0),
    ]


def test_questions_about_what_is_not_there_say_so(store: Store) -> None:
    for question in (store.collection, store.items, store.labels):
        with pytest.raises(UnknownCollection, match="known: c"):
            question("d")
    for of_item in (store.item, store.thumbnail, store.vector, store.pixels, store.original):
        with pytest.raises(UnknownCollection):
            of_item("d", "a")
        with pytest.raises(UnknownItem):
            of_item("c", "a")
