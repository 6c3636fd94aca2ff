"""An input in one file: images cut into patches; and images to be told apart by where they shine.

Shapes: B images, P pixels on a side of a patch, D = d_model.
"""

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_posenc import Dims
from lightning_posenc.data import Batch
from lightning_posenc.model import Inputs


class Tiles(Inputs):
    """A linear map of each patch's pixels (Dosovitskiy et al. 2020, arXiv:2010.11929).

    Args:
        dims: Sizes of the model.
        vocab_size: Nothing: there are no ids.
        side: P, a divisor of the image's height and width.
    """

    def __init__(self, dims: Dims, vocab_size: int | None, side: int = 2) -> None:
        super().__init__(dims, vocab_size)
        self.side = side
        self.project = nn.Linear(side * side, dims.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        pixels = F.unfold(tokens.unsqueeze(1), self.side, stride=self.side)  # (B, P², patches)
        return self.project(pixels.mT)


class Spots(L.LightningDataModule):
    """Images (8, 8) of noise with one bright pixel, whose quarter is the class.

    Args:
        n: Images.
    """

    n_classes = 4

    def __init__(self, n: int = 64) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        images = 0.1 * torch.randn(n, 8, 8, generator=draws)
        row, column = torch.randint(8, (2, n), generator=draws)
        images[torch.arange(n), row, column] += 3
        self.images, self.quarters = images, 2 * (row // 4) + column // 4

    def taken(self, numbers: list[int]) -> Batch:
        return Batch(self.images[numbers], self.quarters[numbers])

    def loader(self) -> DataLoader:
        rows = range(len(self.images))
        return DataLoader(rows, batch_size=16, collate_fn=self.taken)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = loader
