"""Endpoints of the served models and their classes."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.requests.deps import EngineDep
from service.schemas.models import ClassesPublic, ClassPublic, ModelPublic, ModelsPublic
from service.schemas.problems import KEYED, problems

router = APIRouter(prefix="/v1/models", tags=["Models"])


@router.get("", summary="List the served models", responses=problems(*KEYED))
async def list_models(engine: EngineDep) -> ModelsPublic:
    """Every model this service runs, the default one marked."""
    return ModelsPublic(models=[ModelPublic.of(card) for card in engine.models.cards()])


# A model's name may hold a slash-free prefix such as `torchvision:`; FastAPI takes it as it is.
@router.get("/{model}", summary="Show one model", responses=problems(*KEYED, 404))
async def get_model(engine: EngineDep, model: str) -> ModelPublic:
    """One model's input size, classes, features, runtime and the digest of its weights."""
    return ModelPublic.of(engine.models.card(model))


@router.get("/{model}/classes", summary="List a model's classes", responses=problems(*KEYED, 404))
async def list_classes(
    engine: EngineDep,
    model: str,
    q: Annotated[
        str, Query(max_length=100, description="Only labels with this text.", examples=["cat"])
    ] = "",
) -> ClassesPublic:
    """The classes a model tells apart, by index; `q` filters by text, ignoring case."""
    return ClassesPublic(
        classes=[ClassPublic(index=i, label=text) for i, text in engine.models.classes(model, q)]
    )
