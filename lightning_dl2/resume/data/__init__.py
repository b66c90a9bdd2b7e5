"""Give any data the exactness of `train_batch(step)`: own DataLoaders, datasets and data modules."""

from lightning_dl2.resume.data.adapt import adapt as adapt
from lightning_dl2.resume.data.map_style import MapStyleDataModule as MapStyleDataModule
