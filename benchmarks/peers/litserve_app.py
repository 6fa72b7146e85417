"""L: the default model in LitServe, as its documentation writes an image classifier.

https://lightning.ai/docs/litserve (batching: max_batch_size and batch_timeout; JSON with base64).
"""

import base64
import io
import sys

import litserve
import torch
from PIL import Image
from torchvision import transforms

from core.models.sources import efficientnet_lite0, imagenet_labels


class ImageClassifier(litserve.LitAPI):
    """setup, decode_request, batch, predict, unbatch, encode_response."""

    def setup(self, device: str) -> None:
        self.model = efficientnet_lite0("", True)[1].eval().to(device)
        self.transform = transforms.Compose(
            [
                transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        content = base64.b64decode(request["image_data"])
        return self.transform(Image.open(io.BytesIO(content)).convert("RGB"))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return torch.softmax(self.model(x.to(self.device)), 1)

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict[str, object]:
        top = output.topk(5)
        labels = [imagenet_labels()[int(index)] for index in top.indices]
        return {"labels": labels, "probabilities": top.values.tolist()}


if __name__ == "__main__":
    api = ImageClassifier(max_batch_size=8, batch_timeout=0.01)
    port, accelerator = int(sys.argv[1]), sys.argv[2]
    litserve.LitServer(api, accelerator=accelerator).run(port=port, generate_client_file=False)
