"""What the command `encodings` says of each, found out once: it takes seconds."""

from lightning_posenc import Dims
from lightning_posenc.catalogue import described

DIMS = Dims(256, 4, 6)  # those of docs/catalogue.md and of the measured costs
ENTRIES = {entry.name: entry for entry in described.encodings(DIMS)}
