"""What happens at one token alone: dense feed-forwards, and experts, a few for each token."""

from lightning_posenc.model.feed_forward.base import FeedForward, FeedForwardFactory
from lightning_posenc.model.feed_forward.mixture_of_experts import MixtureOfExperts
from lightning_posenc.model.feed_forward.mlp import MLP
from lightning_posenc.model.feed_forward.routers import (
    NoisyTopKRouter,
    Router,
    SwitchRouter,
    TopKRouter,
)
from lightning_posenc.model.feed_forward.routing import Routing
from lightning_posenc.model.feed_forward.swiglu import SwiGLU

__all__ = [
    "MLP",
    "FeedForward",
    "FeedForwardFactory",
    "MixtureOfExperts",
    "NoisyTopKRouter",
    "Router",
    "Routing",
    "SwiGLU",
    "SwitchRouter",
    "TopKRouter",
]
