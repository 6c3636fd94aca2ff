"""Whether a forward pass is being written down as a program for other inputs."""

import torch


def is_recorded() -> bool:
    """Whether `torch.export` or `torch.jit.trace` runs the model.

    What they record serves other values of the same shapes: nothing may then be read off values,
    neither sizes of tables nor what there is to refuse.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()
