"""What memory does an encoding take over the weights, forward and in a training step?

    python benchmarks/branch_memory.py ReRoPE 4096

One sequence, 4 layers of width 128 with 4 heads, float32, one thread: the growth of the peak of
resident memory, in MiB, of a forward pass and then of one with its gradients.
"""

import argparse
import resource

import torch

from lightning_posenc import Dims, Encoder, positional


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("encoding")
    parser.add_argument("length", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = Encoder(Dims(128, 4, 4, causal=True), getattr(positional, args.encoding))
    x = torch.randn(1, args.length, 128)
    model(x[:, :64]).sum().backward()
    before = peak()
    with torch.no_grad():
        model(x)
    forward = peak() - before
    model(x).sum().backward()
    print(f"{args.encoding} {args.length}: {forward:.0f} MiB, training {peak() - before:.0f} MiB")


if __name__ == "__main__":
    main()
