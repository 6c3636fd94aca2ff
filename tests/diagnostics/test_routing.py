"""What routers decide: measured against counting, a peer and cases whose answer is known."""

import math
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from lightning_posenc import Dims, Encoder
from lightning_posenc.callbacks import ExpertLoad, RankCollapse
from lightning_posenc.data import Batch
from lightning_posenc.diagnostics import expert_counts, explained_by_position, observe
from lightning_posenc.diagnostics.measures.routing import expert_load
from lightning_posenc.model import MLP, EncoderSpec, MixtureOfExperts
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import RoPE

B, T, E, K = 6, 9, 4, 2
LENGTHS = torch.tensor([9, 7, 9, 1, 4, 9])


def test_counts_are_those_of_real_tokens() -> None:
    experts = torch.randint(E, (B, T, K))
    counted = Counter(
        (t, int(e)) for b in range(B) for t in range(int(LENGTHS[b])) for e in experts[b, t]
    )
    found = expert_counts(experts, E, LENGTHS)
    assert {(t, e): found[t, e] for t, e in np.ndindex(T, E) if found[t, e]} == counted


@pytest.mark.parametrize("n_sequences", [1, 3, 40])
@pytest.mark.parametrize("is_told", [False, True])
def test_explained_share_is_the_adjusted_mutual_information(
    n_sequences: int, is_told: bool
) -> None:
    """scikit-learn's, with the smaller entropy for its bound, where the experts' is the smaller."""
    experts = torch.randint(E, (n_sequences, T, 1))
    if is_told:
        experts[: n_sequences // 2 + 1] = torch.arange(T)[:, None] % E
    places = torch.arange(T).expand(n_sequences, T)
    wanted = adjusted_mutual_info_score(
        places.flatten().numpy(), experts.flatten().numpy(), average_method="min"
    )
    found = explained_by_position(expert_counts(experts, E)).item()
    if n_sequences == 1:  # every place has one token, so chance explains all
        assert found == 0
    else:
        assert found == pytest.approx(wanted, abs=1e-9)


def test_explained_share_of_known_cases() -> None:
    """1 where the place decides, 0 by chance at any size, 0 of a collapsed router."""
    by_place = (torch.arange(T) % E).expand(B, T).unsqueeze(-1)
    assert explained_by_position(expert_counts(by_place, E)).item() == pytest.approx(1)
    assert explained_by_position(expert_counts(torch.zeros(B, T, 1).long(), E)).item() == 0
    drawn = [
        explained_by_position(expert_counts(torch.randint(E, (4, T, 1)), E)) for _ in range(300)
    ]
    assert torch.stack(drawn).mean().item() == pytest.approx(0, abs=0.03)


def model() -> Encoder:
    experts = partial(MixtureOfExperts, n_experts=E, d_ff=8, capacity=0.5)
    return Encoder(Dims(16, 2, 2, causal=True), RoPE, feed_forward=experts, init_std=0.4).eval()


def test_a_layer_is_measured_as_token_by_token() -> None:
    of, x = model(), torch.randn(B, T, 16)
    with torch.no_grad(), observe(of) as seen:
        of(x, lengths=LENGTHS)
    found = expert_load(seen, LENGTHS)
    for layer, routed in seen.routed.items():
        load: Counter[int] = Counter()
        entropies, dropped = [], 0
        for b, length in enumerate(LENGTHS.tolist()):
            taken: Counter[int] = Counter()
            for t in range(length):
                p = routed.routing.logits[b, t].softmax(-1)
                entropies.append(-sum(share * math.log(share) for share in p.tolist()))
                for e in p.topk(K).indices.tolist():
                    load[e] += 1
                    taken[e] += 1
                    dropped += taken[e] > math.ceil(0.5 * K * length / E)
        n = len(entropies) * K
        shares = [load[e] / n for e in range(E)]
        assert found["experts/load"][layer].tolist() == pytest.approx(shares)
        assert found["experts/largest"][layer].item() == pytest.approx(max(shares) * E)
        assert found["experts/entropy"][layer].item() == pytest.approx(np.mean(entropies))
        assert found["experts/dropped"][layer].item() == pytest.approx(dropped / n)
        assert dropped
    first = expert_load(seen.first(2), LENGTHS[:2])
    with torch.no_grad(), observe(of) as alone:
        of(x[:2], lengths=LENGTHS[:2])
    for name, layers in expert_load(alone, LENGTHS[:2]).items():
        for layer, value in layers.items():
            torch.testing.assert_close(first[name][layer], value)


def test_it_is_logged_by_expert_drawn_and_refused_where_there_are_none(tmp_path: Path) -> None:
    batch = Batch(torch.randint(5, (B, T)), torch.zeros(B).long())
    wiring = {"feed_forward": partial(MixtureOfExperts, n_experts=E, d_ff=8)}
    module = SequenceClassifier(EncoderSpec(16, 2, 2, **wiring), 5, 3, positional=RoPE).eval()
    watch = ExpertLoad()
    with torch.no_grad():
        found = watch.measure(module, batch, 0)
    per_layer = [f"load_{e:02d}" for e in range(E)]
    per_layer += ["largest", "entropy", "dropped", "by_position"]
    assert set(found) == {f"experts/layer_{n:02d}/{name}" for n in range(2) for name in per_layer}
    watch.history.add(0, {key: float(value) for key, value in found.items()})
    watch.draw(SimpleNamespace(is_global_zero=True, default_root_dir=tmp_path, loggers=[]))  # type: ignore[arg-type]
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn >= {"expert_load.png", "load_by_expert.png", "load_by_expert.json"}
    dense = SequenceClassifier(EncoderSpec(16, 2, 2, feed_forward=MLP), 5, 3).eval()
    with torch.no_grad(), pytest.raises(ValueError, match=r"^ExpertLoad measures what routers"):
        watch.measure(dense, batch, 0)
    with torch.no_grad():
        assert RankCollapse().measure(dense, batch, 0)
