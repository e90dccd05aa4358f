#!/usr/bin/env python3
"""compare.py - the network of `wingspan bench step` in PyTorch, as its users would write it.

One line of JSON with the seconds of a step, for launch/compare; with --epochs N instead, train so
long, test after every epoch, and say the seconds of training.  Times include all that a step needs
once the data lies in memory, but no test.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch

# Pre-activations at a time: larger batches go in parts whose gradients are added up.
MOST_FLOATS = 2**28


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", required=True, help="data set in HDF5")
    p.add_argument("--prepare", choices=["none", "unit", "center-unit"], default="center-unit")
    p.add_argument("--samples", type=int, default=0, help="the first so many; 0: all")
    p.add_argument("--width", type=int, default=65536)
    p.add_argument("--shift", type=float, default=2.5)
    p.add_argument("--batch", type=int, default=128, help="0: all samples")
    p.add_argument("--rate", type=float, default=1.0)
    p.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    p.add_argument("--steps", type=int, default=20, help="timed, after two that are not")
    p.add_argument("--epochs", type=int, default=0, help="train so long, with a rate that falls as a cosine")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p.parse_args()


def load(o):
    import h5py

    with h5py.File(o.data, "r") as f:
        x = {k: torch.from_numpy(f[k][:]).float() for k in ("x", "x_test") if k in f}
        y = {k: torch.from_numpy(f[k][:]).long() for k in ("y", "y_test") if k in f}
    if o.samples:
        x["x"], y["y"] = x["x"][: o.samples], y["y"][: o.samples]
    if o.prepare == "center-unit":
        mean = x["x"].mean(0)
        x = {k: v - mean for k, v in x.items()}
    if o.prepare != "none":
        x = {k: v / v.norm(dim=1, keepdim=True) for k, v in x.items()}
    return x, y


class Network:
    """f(x) = s relu(x W' - shift) a: W is trained, a is +1 or -1."""

    def __init__(self, o, d, classes):
        self.shift = o.shift
        self.w = torch.randn(o.width, d).requires_grad_()
        self.a = torch.randint(0, 2, (o.width, classes)).float() * 2 - 1
        self.scale = 1 / math.sqrt(o.width * 0.5 * math.erfc(o.shift / math.sqrt(2)))

    def __call__(self, x):
        z = torch.mm(x, self.w.t()).sub_(self.shift).relu_()
        return torch.mm(z, self.a).mul_(self.scale)


def step(net, optimizer, x, y):
    optimizer.zero_grad()
    part = max(1, MOST_FLOATS // net.w.shape[0])
    for i in range(0, len(x), part):
        loss = torch.nn.functional.cross_entropy(net(x[i : i + part]), y[i : i + part], reduction="sum") / len(x)
        loss.backward()
    optimizer.step()


def accuracy(net, x, y):
    with torch.no_grad():
        part = max(1, MOST_FLOATS // net.w.shape[0])
        right = sum((net(x[i : i + part]).argmax(1) == y[i : i + part]).sum().item() for i in range(0, len(x), part))
    return right / len(x)


def batches(n, batch):
    while True:
        order = torch.randperm(n)
        yield from (order[i : i + batch] for i in range(0, n, batch))


def train(o, net, optimizer, x, y, batch):
    """Seconds of training so far and accuracy after every epoch."""
    n, tests, seconds = len(x["x"]), [], 0.0
    an_epoch = math.ceil(n / batch)
    draw = batches(n, batch)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, o.epochs * an_epoch)
    for _ in range(o.epochs):
        start = time.perf_counter()
        for _ in range(an_epoch):
            ids = next(draw)
            step(net, optimizer, x["x"][ids], y["y"][ids])
            fall.step()
        seconds += time.perf_counter() - start
        tests.append({"seconds": seconds, "accuracy": accuracy(net, x["x_test"], y["y_test"])})
    return {"seconds_per_epoch": seconds / o.epochs, "tests": tests}


def measure(o, net, optimizer, x, y, batch):
    """The median of some steps, multiplied to an epoch."""
    n, seconds = len(x["x"]), []
    draw = batches(n, batch)
    for _ in range(2 + o.steps):
        start = time.perf_counter()
        ids = next(draw)
        step(net, optimizer, x["x"][ids], y["y"][ids])
        seconds.append(time.perf_counter() - start)
    a_step = statistics.median(seconds[2:])
    return {"steps": o.steps, "seconds_per_step": a_step, "seconds_per_epoch": a_step * n / batch}


def main():
    o = options()
    torch.manual_seed(o.seed)
    torch.set_num_threads(o.threads)
    x, y = load(o)
    n, d = x["x"].shape
    batch = min(o.batch, n) if o.batch else n
    net = Network(o, d, int(y["y"].max()) + 1)
    kind = torch.optim.Adam if o.optimizer == "adam" else torch.optim.SGD
    optimizer = kind([net.w], lr=o.rate)
    done = (train if o.epochs else measure)(o, net, optimizer, x, y, batch)
    json.dump({"bench": "pytorch", "version": torch.__version__, "threads": o.threads, "width": o.width,
               "batch": batch, "samples": n, "dim": d, "optimizer": o.optimizer, **done}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
