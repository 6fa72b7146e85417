"""A small network for 28 x 28 gray pictures."""

from torch import Tensor, nn


class Net(nn.Module):
    """Three convolutions, each halved by a max pool, and two linear layers.

    Args:
        n_classes: how many logits.
        width: channels of the first convolution; the others have twice as many.
        hidden: length of the feature vector, the input of `fc2`.
    """

    def __init__(self, n_classes: int = 10, width: int = 32, hidden: int = 128) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, kernel_size=3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(2 * width * 3 * 3, hidden)
        self.fc2 = nn.Linear(hidden, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) normalized pixels -> (B, n_classes) logits."""
        x = self.pool(self.relu(self.conv1(x)))  # (B, 32, 14, 14)
        x = self.pool(self.relu(self.conv2(x)))  # (B, 64, 7, 7)
        x = self.pool(self.relu(self.conv3(x)))  # (B, 64, 3, 3)
        x = self.relu(self.fc1(self.flatten(x)))  # (B, 128)
        return self.fc2(x)
