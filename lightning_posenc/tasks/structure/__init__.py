"""Tasks whose tokens stand in a hierarchy, on a grid or in a tree."""

from lightning_posenc.tasks.structure.dyck import Dyck
from lightning_posenc.tasks.structure.grid_lookup import GridLookup
from lightning_posenc.tasks.structure.grid_reflection import GridReflection
from lightning_posenc.tasks.structure.tree_distance import TreeDistance

__all__ = ["Dyck", "GridLookup", "GridReflection", "TreeDistance"]
