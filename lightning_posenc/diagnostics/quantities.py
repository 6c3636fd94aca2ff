"""What every number is that a run logs: its key, its meaning, its range, and which way is better.

One table: callbacks and the report draw from it, the doctor and modules name by it. It needs no
torch. `metric_keys.py` has the grammar.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LAYER = "layer"
BLOCKS = "blocks passed"  # the depth of the residual stream, from 0 to L

WITHOUT_ORDER = "acc_without_order"  # the best accuracy of a model that is blind to order
MAJORITY = "majority"  # the share of the most frequent class

PART = re.compile(r"/head_\{part\}|_\{part(:02d)?\}")  # within a form

INF = float("inf")
ANY, SHARE, POSITIVE = (-INF, INF), (0.0, 1.0), (0.0, INF)


class Quantity(NamedTuple):
    """A row of the table.

    Args:
        form: Its key without stage and length; {layer} and {part} stand for a layer's word and for
            the number of what is counted within it.
        title: What it is, in a few words without a capital.
        meaning: How to read it, in a few words.
        unit: Of the numbers; "" for none.
        range: Lowest and highest that there can be.
        higher: Whether more is better; None where that is a matter of the model.
        log: Whether it is shown on a logarithmic scale.
        depth: What is counted upwards, of what is by layer.
        baseline: Whether it is no model's own score, but what scores are compared with.
        largest: Whether a layer's number is the largest of its heads', and not their mean.
    """

    form: str
    title: str
    meaning: str = ""
    unit: str = ""
    range: tuple[float, float] = ANY
    higher: bool | None = None
    log: bool = False
    depth: str = LAYER
    baseline: bool = False
    largest: bool = False

    @property
    def name(self) -> str:
        """As in a `Key`."""
        return PART.sub("", self.form).replace("/{layer}", "")

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title}, in {self.unit}" if self.unit else self.title

    @property
    def described(self) -> str:
        """The label, and how to read it."""
        return f"{self.label} ({self.meaning})" if self.meaning else self.label

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1]."""
        return self.range == SHARE


SCORES = (
    Quantity("loss", "loss", unit="nats", higher=False),
    Quantity("penalty", "penalty of the parts", range=POSITIVE, higher=False),
    Quantity("perplexity", "perplexity", range=(1.0, INF), higher=False),
    Quantity("bits_per_byte", "bits per byte", range=POSITIVE, higher=False),
    Quantity("acc", "accuracy", range=SHARE, higher=True),
    Quantity("acc_balanced", "accuracy, mean over classes", range=SHARE, higher=True),
    Quantity("f1_macro", "F1, mean over classes", range=SHARE, higher=True),
    Quantity("ece", "calibration error", "distance of being sure to being right", range=SHARE,
             higher=False),
    Quantity("entity_f1", "F1 of whole entities", range=SHARE, higher=True),
    Quantity("exact", "share of answers that are right as a whole", range=SHARE, higher=True),
    Quantity(
        "exact_written",
        "written answers that are right as a whole",
        range=SHARE,
        higher=True,
    ),
    Quantity("error_rate", "errors over the tokens of a transcript", "edit distance; 0: all right",
             range=POSITIVE, higher=False),
    Quantity("bleu", "BLEU", range=(0.0, 100.0), higher=True),
    Quantity("chrf", "chrF", range=(0.0, 100.0), higher=True),
    Quantity("effective_length", "effective length", range=POSITIVE, higher=True),
    Quantity(WITHOUT_ORDER, "without order, at best", range=SHARE, higher=True, baseline=True),
    Quantity(MAJORITY, "always the most frequent class", range=SHARE, higher=True, baseline=True),
)  # fmt: skip

TRAINING = (Quantity("lr", "learning rate", "of the first group of parameters", range=POSITIVE),)

COSTS = (
    Quantity("seconds_per_step", "time per step", unit="s", range=POSITIVE, higher=False),
    Quantity("peak_memory_mb", "peak memory", unit="MiB", range=POSITIVE, higher=False),
    Quantity("train_seconds", "time of training", "validation included", "s", POSITIVE,
             higher=False),
    Quantity("train_tokens", "tokens trained on", "padding included", range=POSITIVE),
    Quantity("train_flops", "floating-point operations of training",
             "of matrix products; the backward pass counts twice the forward", range=POSITIVE,
             higher=False),
    Quantity("train_joules", "energy of the GPU in training", "of the first process", "J",
             POSITIVE, higher=False),
    Quantity("parameters", "parameters", range=POSITIVE),
    Quantity("positional_parameters", "of them positional", range=POSITIVE),
)  # fmt: skip

ATTENTION = (
    Quantity("attn/entropy/{layer}/head_{part}", "entropy of attention", "0: looks at one token",
             "nats", POSITIVE),
    Quantity("attn/normalised_entropy/{layer}", "entropy of attention over uniform's",
             "1: looks everywhere; 0: at one token", range=SHARE),
    Quantity("attn/distance/{layer}", "attended distance", "0: looks at itself", "tokens",
             POSITIVE),
    Quantity("attn/sink/{layer}", "weight on the first token", "1: looks at nothing else",
             range=SHARE),
    Quantity("attn/offset_share/{layer}", "attention explained by offset alone",
             "1: position decides; 0: content does", range=SHARE),
    Quantity("attn/similarity/{layer}", "attention like the layer below", "1: the same",
             range=SHARE),
    Quantity("attn/max_logit/{layer}", "largest logit of attention", largest=True),
)  # fmt: skip

BY_LENGTH = (
    Quantity("attn/dilution/{layer}/head_{part}", "growth of attention's entropy over uniform's",
             "with length; 1: dilutes as if it looked everywhere; 0: not at all"),
    Quantity("attn/best/{layer}/head_{part}", "weight of the best key", "1: looks at one token",
             range=SHARE),
)  # fmt: skip

FIRST_KEY = (
    Quantity("attn/sink_value/{layer}", "first token's value over the median, in size",
             "near 0 with much weight on it: a sink", range=POSITIVE),
    Quantity("attn/sink_logit/{layer}", "logit of the first token above the mean of all"),
)  # fmt: skip

MASSIVE = (
    Quantity("massive/ratio/{layer}", "largest activation over the median",
             "above 1,000: massive", range=POSITIVE, log=True, depth=BLOCKS, largest=True),
    Quantity("massive/largest/{layer}", "size of the largest activation", range=POSITIVE, log=True,
             depth=BLOCKS, largest=True),
)  # fmt: skip

GROWTH = (
    Quantity("qk/logit/{layer}/head_{part}", "largest product of a query and a key",
             "scaled, without a bias"),
    Quantity("qk/growth/{layer}/head_{part}", "growth of the largest product",
             "since the first look; who grows far beyond others explodes"),
    Quantity("qk/query_norm/{layer}/head_{part}", "spectral norm of a head's queries' weight",
             range=POSITIVE),
    Quantity("qk/key_norm/{layer}/head_{part}", "spectral norm of a head's keys' weight",
             range=POSITIVE),
)  # fmt: skip

TURNS = (
    Quantity("turns/unfinished/{layer}", "share of logits in planes that finish no turn",
             "of their variance; 0: all angles of longer sequences are known", range=SHARE),
)  # fmt: skip

BEYOND = (
    Quantity("turns/taken_beyond/{layer}", "share of attention that keys beyond would take",
             "of keys 1 to 2 times as far as any so far; .5: as much as near ones", range=SHARE),
)  # fmt: skip

HEADS = (
    Quantity("heads/previous/{layer}/head_{part}", "weight on the token one place before",
             "1: all of it; 0: as uniform attention's", range=(-INF, 1.0)),
    Quantity("heads/offset/{layer}/head_{part}", "weight at the best other distance",
             "1: all of it; 0: as uniform attention's", range=(-INF, 1.0)),
    Quantity("heads/induction/{layer}/head_{part}", "weight on what followed a like token",
             "1: all of it; 0: as uniform attention's", range=(-INF, 1.0)),
    Quantity("heads/retrieval/{layer}/head_{part}", "weight on the answer",
             "1: all of it; 0: as uniform attention's", range=(-INF, 1.0)),
    Quantity("heads/removed/{layer}/head_{part}", "growth of the loss without the head",
             "0: nobody needs it", "nats"),
    Quantity("heads/by_offset/{layer}/head_{part}",
             "loss added with weights by distance",
             "0: content does not matter to it", "nats"),
)  # fmt: skip

ACROSS = (
    Quantity("cross/entropy/{layer}", "entropy of cross-attention", "0: looks at one token",
             "nats", POSITIVE),
    Quantity("cross/monotonicity/{layer}", "order in which a source is read",
             "1: from its start; -1: from its end", range=(-1.0, 1.0)),
    Quantity("cross/coverage/{layer}", "share of a source that is read", "1: all of it",
             range=SHARE),
)  # fmt: skip

SHARE_OF_POSITION = (
    Quantity("pos_share/{layer}", "positional share of the variance",
             "1: a token is its place; 0: nothing tells where it is", range=SHARE, depth=BLOCKS),
)  # fmt: skip

PROBE = (
    Quantity("probe/mae/{layer}", "error of a probe of position",
             "0: every token knows its place; on a grid, mean over rows and columns", "tokens",
             POSITIVE, higher=False, depth=BLOCKS),
    Quantity("probe/r2/{layer}", "R² of a probe of position", "1: every token knows its place",
             range=(-INF, 1.0), higher=True, depth=BLOCKS),
)  # fmt: skip

PROBE_OF_CELLS = tuple(
    Quantity(f"probe/{axis}/{{layer}}", f"error of a probe of the {axis}",
             f"of a grid; 0: every token knows its {axis}", "cells", POSITIVE, higher=False,
             depth=BLOCKS)
    for axis in ("row", "column")
)  # fmt: skip

RANK = (
    Quantity("rank/residual/{layer}", "residual ratio", "0: all tokens alike", range=SHARE,
             depth=BLOCKS),
    Quantity("rank/cosine/{layer}", "cosine between tokens", "1: all tokens alike",
             range=(-1.0, 1.0), depth=BLOCKS),
    Quantity("rank/effective/{layer}", "effective rank", "1: tokens on one line",
             range=(1.0, INF), depth=BLOCKS),
)  # fmt: skip

GRADIENTS = (
    Quantity("pos_grad/{layer}/embed", "gradient through what is embedded", "norm", log=True),
    Quantity("pos_grad/{layer}/transform", "gradient through the rotation", "norm", log=True),
    Quantity("pos_grad/{layer}/bias", "gradient through the bias", "norm", log=True),
    Quantity("pos_grad/{layer}/rescore", "gradient through rescored logits", "norm", log=True),
    Quantity("pos_grad/{layer}/values", "gradient through the values", "norm", log=True),
    Quantity("pos_grad/{layer}/output", "gradient through what was mixed", "norm", log=True),
    Quantity("pos_grad/{layer}/residual", "gradient of the residual stream", "norm", log=True,
             depth=BLOCKS),
    Quantity("pos_grad/{layer}/share", "positional share of the gradient",
             "0: position teaches this layer nothing", range=SHARE, depth=BLOCKS),
    Quantity("pos_grad/{layer}/plane_{part:02d}", "gradient through a plane of rotation",
             "norm, mean over planes", log=True),
    Quantity("pos_grad/parameters", "gradient of a positional parameter", "norm", log=True),
    Quantity("pos_grad/positions", "gradient of the positions", "norm", log=True),
    Quantity("pos_grad/positions_sum", "sum of the positions' gradient over its size",
             "0: only distances matter", range=(-1.0, 1.0)),
)  # fmt: skip

EXPERTS = (
    Quantity("experts/{layer}/load_{part:02d}", "share of the choices", "1: has all tokens",
             range=SHARE),
    Quantity("experts/{layer}/largest", "largest load over an even one", "1: all have the same",
             range=(1.0, INF), higher=False),
    Quantity("experts/{layer}/entropy", "entropy of the router", "0: sure of its choice", "nats",
             POSITIVE),
    Quantity("experts/{layer}/dropped", "choices that find no place", "0: nobody is dropped",
             range=SHARE, higher=False),
    Quantity("experts/{layer}/by_position", "routing explained by position alone",
             "1: position decides; 0: no more than by chance", range=(-INF, 1.0)),
)  # fmt: skip

ORDER = tuple(
    Quantity(f"order/{change}", f"change of the outputs, {said}", "0: not noticed", range=POSITIVE)
    for change, said in {
        "swapped": "two tokens swapped",
        "shuffled": "tokens shuffled",
        "shifted": "all positions shifted",
        "zeroed": "all positions zero",
    }.items()
)


class Measurement(NamedTuple):
    """What is measured in an observed forward pass, at one go, and drawn in one picture.

    Args:
        name: Of the picture, `figures/<name>`, and what `Watch` calls it.
        title: Above the picture.
        function: Maps an `Observation` and the sequences' lengths (or None) to numbers by quantity
            and layer: a float, or a tensor (H,) of the heads' numbers. A dotted path, which is
            imported when it is measured, or the function itself.
        quantities: What it gives.
        sees_attention: Whether it looks at attention, and not at the residual stream alone.
        compares_sequences: Whether it says little of a few sequences.
        as_it_passes: Of what sees attention, the dotted path of a class that takes the sequences'
            lengths, is told of one layer after the other (`add(layer, operands)`), and has `found`,
            what the function gives; "" where all layers are needed at once.
        sees_routing: Whether it looks at what routers decided, and not at the residual stream.
        sees_planes: Whether it looks at attention in the planes of a rotation.
    """

    name: str
    title: str
    function: str | Callable[[Any, Any], Mapping[str, Mapping[int, Any]]]
    quantities: tuple[Quantity, ...]
    sees_attention: bool = False
    compares_sequences: bool = False
    as_it_passes: str = ""
    sees_routing: bool = False
    sees_planes: bool = False

    @property
    def sees(self) -> str:
        """What it looks at of an `Observation`."""
        if self.sees_planes:
            return "planes"
        return "attention" if self.sees_attention else "routed" if self.sees_routing else "hidden"


_MEASURES = "lightning_posenc.diagnostics.measures"

# A new one: its function in measures/, and its row here. `Watch`, the report and the doctor follow.
MEASUREMENTS = (
    Measurement(
        "attention_statistics",
        "attention, by layer and step (means over heads)",
        f"{_MEASURES}.attention_summary.attention_statistics",
        ATTENTION,
        sees_attention=True,
        as_it_passes=f"{_MEASURES}.attention_summary.RunningAttentionSummary",
    ),
    Measurement(
        "positional_share",
        "positional share: does the position signal survive with depth?",
        f"{_MEASURES}.positional_share.share_by_depth",
        SHARE_OF_POSITION,
        compares_sequences=True,
    ),
    Measurement(
        "position_probe",
        "position probe: can a linear map read the position, layer by layer?",
        f"{_MEASURES}.probe.probe_by_depth",
        PROBE + PROBE_OF_CELLS,
        compares_sequences=True,
    ),
    Measurement(
        "rank_collapse",
        "rank collapse: do tokens become alike with depth?",
        f"{_MEASURES}.rank.rank_by_depth",
        RANK,
    ),
    Measurement(
        "expert_load",
        "experts: are all busy, and does position decide who is?",
        f"{_MEASURES}.routing.expert_load",
        EXPERTS,
        sees_routing=True,
    ),
    Measurement(
        "sinks",
        "sinks: is the first token attended to and not read?",
        f"{_MEASURES}.sinks.first_key_by_layer",
        FIRST_KEY,
        sees_attention=True,
        as_it_passes=f"{_MEASURES}.sinks.RunningFirstKey",
    ),
    Measurement(
        "massive_activations",
        "massive activations: do a few numbers dwarf all others?",
        f"{_MEASURES}.massive.massive_by_depth",
        MASSIVE,
    ),
    Measurement(
        "unfinished_turns",
        "unfinished turns: how much of attention meets new angles past this length?",
        f"{_MEASURES}.unfinished_turns.turns_by_layer",
        TURNS,
        sees_attention=True,
        sees_planes=True,
    ),
    Measurement(
        "keys_beyond",
        "keys beyond: what would those take that are farther than any in training?",
        f"{_MEASURES}.keys_beyond.beyond_by_layer",
        BEYOND,
        sees_attention=True,
        sees_planes=True,
    ),
)

OBSERVED = tuple(row for measurement in MEASUREMENTS for row in measurement.quantities)
_DOCTORS = (*BY_LENGTH, *HEADS)
QUANTITIES = {
    row.name: row
    for row in (
        *SCORES,
        *TRAINING,
        *COSTS,
        *OBSERVED,
        *_DOCTORS,
        *ACROSS,
        *GROWTH,
        *GRADIENTS,
        *ORDER,
    )
}
