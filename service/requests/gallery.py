"""Parameters of items and neighbors: text in, the engine's own objects out."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from core.collections.drafts import Draft
from core.collections.finder import Search, Seed
from core.errors import SeethroughError
from core.gallery.limits import parse_metadata
from core.gallery.records import IfMatch, OnDuplicate, Space
from service.requests import grammar
from service.requests.body import is_lines, read_images, read_seed
from service.requests.deps import BitsQuery, CallDep, SettingsDep, get_engine, taking_in_picture
from service.requests.lines import Line, entries_of_form, entries_of_lines

LabelQuery = Annotated[
    str | None, Query(max_length=200, description="Your own word for it.", examples=["cat"])
]
LabelFilter = Annotated[
    str | None,
    Query(max_length=200, description="Only items with exactly this label.", examples=["cat"]),
]
MetadataQuery = Annotated[
    str | None,
    Query(max_length=20_000, description="A JSON object.", examples=['{"source": "camera 2"}']),
]
OnDuplicateQuery = Annotated[
    OnDuplicate,
    Query(
        description="If the collection holds the same bytes already: `keep` both, `reject` this "
        "one (409), or `replace` the stored one.",
        examples=["keep"],
    ),
]
IfMatchHeader = Annotated[
    str | None,
    Header(
        description="Only if the item still has this ETag, or one of these; `*`: whatever it has. "
        "Else 412.",
        examples=['"57"'],
    ),
]
_MinSeqQuery = Annotated[
    int,
    Query(
        ge=0,
        description="Answer only from a state that has the change of this number (`seq` of a "
        "write, or `X-Applied-Seq`); else 503, or 422 where it lies too far ahead to come soon.",
        examples=[0],
    ),
]


async def applied(request: Request, min_seq: _MinSeqQuery = 0) -> int:
    """The number of the last change seen; raises NotYetApplied if that is not enough."""
    engine = await get_engine(request)
    return engine.curator.require_seq(min_seq)


async def wanted_versions(if_match: IfMatchHeader = None) -> IfMatch | None:
    """The versions, one of which an item must have; None = whatever it has."""
    return grammar.if_match(if_match)


IfMatchDep = Annotated[IfMatch | None, Depends(wanted_versions)]
AppliedDep = Annotated[int, Depends(applied)]


async def draft(
    id: Annotated[
        str | None,
        Query(max_length=200, description="One is made if left out.", examples=["chelsea"]),
    ] = None,
    label: LabelQuery = None,
    metadata: MetadataQuery = None,
    on_duplicate: OnDuplicateQuery = "keep",
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Sent again with the same request within a day, nothing is stored twice.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
    ] = None,
) -> Draft:
    """What is said of a picture to add."""
    return Draft(
        id=id,
        label=label,
        metadata=parse_metadata(metadata),
        on_duplicate=on_duplicate,
        idempotency_key=idempotency_key,
    )


async def draft_of(
    id: str,
    if_match: IfMatchDep,
    label: LabelQuery = None,
    metadata: MetadataQuery = None,
    on_duplicate: OnDuplicateQuery = "keep",
) -> Draft:
    """What is said of a picture to put under an id."""
    return Draft(
        id=id,
        label=label,
        metadata=parse_metadata(metadata),
        upsert=True,
        on_duplicate=on_duplicate,
        if_match=if_match,
    )


async def shared_draft(
    label: LabelQuery = None,
    metadata: MetadataQuery = None,
    on_duplicate: OnDuplicateQuery = "keep",
) -> Draft:
    """What is said of all pictures of a batch that say nothing else."""
    return Draft(id=None, label=label, metadata=parse_metadata(metadata), on_duplicate=on_duplicate)


async def search(
    min_seq: _MinSeqQuery = 0,
    k: Annotated[int, Query(description="How many, 1 to 1000.", examples=[10])] = 10,
    label: LabelFilter = None,
    space: Annotated[
        Space,
        Query(description="The network's features, or 32 x 32 pixels.", examples=["features"]),
    ] = "features",
    max_per_label: Annotated[
        int | None,
        Query(description="For variety: at most so many of one label.", examples=[3]),
    ] = None,
    exact: Annotated[
        bool,
        Query(description="Never approximate, however many items there are.", examples=[False]),
    ] = False,
) -> Search:
    """How neighbors are searched."""
    return Search(
        k=k, space=space, label=label, max_per_label=max_per_label, exact=exact, min_seq=min_seq
    )


async def seed(request: Request, call: CallDep, bits: BitsQuery = None) -> AsyncIterator[Seed]:
    """What to find neighbors of."""
    with taking_in_picture(request, call) as intake:
        yield await read_seed(intake, bits)


SharedDraftDep = Annotated[Draft, Depends(shared_draft)]


async def entries(
    request: Request,
    settings: SettingsDep,
    call: CallDep,
    shared: SharedDraftDep,
    bits: BitsQuery = None,
) -> AsyncIterator[AsyncIterator[Line | SeethroughError]]:
    """The pictures of a batch, sent as lines or as a form."""
    with taking_in_picture(request, call) as intake:
        if is_lines(request):
            yield entries_of_lines(intake, shared, bits)
        else:
            files = await read_images(intake, settings.max_files)
            yield entries_of_form(files, shared, bits)


DraftDep = Annotated[Draft, Depends(draft)]
DraftOfDep = Annotated[Draft, Depends(draft_of)]
SearchDep = Annotated[Search, Depends(search)]
EntriesDep = Annotated[AsyncIterator[Line | SeethroughError], Depends(entries)]
SeedDep = Annotated[Seed, Depends(seed, scope="function")]
