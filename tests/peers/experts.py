"""Experts of Hugging Face with our weights: Mixtral's layer, Switch Transformers' in training.

Shapes: B sequences, T tokens, D = d_model, E experts.
"""

from typing import Any, NamedTuple

from torch import Tensor

from lightning_posenc.model import MixtureOfExperts


class Peer(NamedTuple):
    """What a library's layer gives (B, T, D), and its losses where it has them."""

    out: Tensor
    balance: Tensor
    z: Tensor | None = None


def mixtral(of: MixtureOfExperts, x: Tensor) -> Peer:
    """Its loss counts each of the k choices as a whole one."""
    from transformers import MixtralConfig
    from transformers.models.mixtral import modeling_mixtral as theirs

    config = MixtralConfig(
        hidden_size=of.dims.d_model,
        intermediate_size=of.experts.out.in_features,
        num_local_experts=of.router.n_experts,
        num_experts_per_tok=of.router.k,
    )
    layer = theirs.MixtralSparseMoeBlock(config)
    up, out = _by_expert(of)
    layer.load_state_dict(
        {
            "gate.weight": of.router.gate.weight,
            "experts.gate_up_proj": up,
            "experts.down_proj": out,
        }
    )
    logits, _, _ = layer.gate(x)
    loss = theirs.load_balancing_loss_func((logits,), config.num_local_experts, of.router.k)
    assert isinstance(loss, Tensor)
    return Peer(layer(x.clone()), loss / of.router.k)


def switch_transformers(of: MixtureOfExperts, x: Tensor) -> Peer:
    """Its capacity is a number of places, and its loss the mean of each sequence's own."""
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers import modeling_switch_transformers as theirs

    config: Any = SwitchTransformersConfig(
        d_model=of.dims.d_model,
        d_ff=of.experts.out.in_features,
        num_experts=of.router.n_experts,
        expert_capacity=of.places_of(x.shape[1]),
        dense_act_fn="relu",
        router_jitter_noise=0.0,
        dropout_rate=0.0,
    )
    layer = theirs.SwitchTransformersSparseMLP(config)
    up, out = _by_expert(of)
    state = {"router.classifier.weight": of.router.gate.weight}
    for e in range(config.num_experts):
        state[f"experts.expert_{e}.wi.weight"] = up[e]
        state[f"experts.expert_{e}.wo.weight"] = out[e]
    layer.load_state_dict(state)
    _, _, logits = layer.router(x)
    loss = theirs.load_balancing_loss_func(logits.softmax(-1), logits.argmax(-1))
    return Peer(layer(x), loss, theirs.router_z_loss_func(logits))


def _by_expert(of: MixtureOfExperts) -> list[Tensor]:
    n_experts = of.router.n_experts
    return [
        linear.weight.unflatten(0, (n_experts, -1)) for linear in (of.experts.up, of.experts.out)
    ]
