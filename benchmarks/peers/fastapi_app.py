"""N: the default model behind plain FastAPI and torch, one picture per call.

`def` endpoints run in FastAPI's thread pool, as its documentation advises for blocking code;
`/async/predict` is the same as `async def`, which many tutorials write: it blocks the event loop.
"""

import io
import sys

import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from torchvision import transforms

from core.models.sources import efficientnet_lite0, imagenet_labels

app = FastAPI()
device = sys.argv[2]
model = efficientnet_lite0("", True)[1].eval().to(device)
transform = transforms.Compose(
    [
        transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.5,) * 3, (0.5,) * 3),
    ]
)


@app.get("/health")
def health() -> str:
    return "ok"


@app.post("/predict")
def predict(image: UploadFile) -> dict[str, object]:
    return _predict(image.file.read())


@app.post("/async/predict")
async def predict_async(image: UploadFile) -> dict[str, object]:
    return _predict(await image.read())


def _predict(content: bytes) -> dict[str, object]:
    row = transform(Image.open(io.BytesIO(content)).convert("RGB"))[None].to(device)
    with torch.no_grad():
        top = torch.softmax(model(row), 1)[0].topk(5)
    labels = [imagenet_labels()[int(index)] for index in top.indices]
    return {"labels": labels, "probabilities": top.values.tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
