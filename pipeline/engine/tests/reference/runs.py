"""Write runs.json: the first 50 steps of whole runs, reproduced with PyTorch from their configurations alone.

For every step the mean loss and the accuracy of the batch before the update, and the Euclidean norm
of the gradient. Division, order of the examples, pixels and initial weights are made here as the
engine makes them; both pixels and weights are rounded to float32, and everything after is float64.

Made with PyTorch 2.15.0 (on the CPU). Everything is seeded; another version or processor may change
the last digits.

Usage: python runs.py
"""

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import make
import streams

DATA = Path(__file__).resolve().parents[2] / "data" / "fashion-mnist-mini"
CLASSES = 10
STEPS = 50


# Examples.


def idx(name):
    content = gzip.decompress((DATA / name).read_bytes())
    rank = content[3]
    sizes = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def examples():
    """All pixels of the training part with mean 0 and deviation 1, and the labels."""
    images, labels = idx("train-images-idx3-ubyte.gz"), idx("train-labels-idx1-ubyte.gz")
    wide = images.astype(np.int64)
    mean = int(wide.sum()) / wide.size
    deviation = math.sqrt(int((wide**2).sum()) / wide.size - mean * mean)
    mean, deviation = mean / 255.0, deviation / 255.0
    scale, shift = np.float32(1.0 / (255.0 * deviation)), np.float32(-mean / deviation)
    pixels = images.astype(np.float32) * scale + shift
    assert pixels.dtype == np.float32
    pixels = torch.from_numpy(pixels.astype(np.float64)).unsqueeze(1)
    return pixels, torch.from_numpy(labels.astype(np.int64))


def batches(config, count):
    """The indices of each step's examples: a new order every epoch, whose last batch may be smaller."""
    order = streams.permutation("split", config["split_seed"], 0, count)
    held_out = math.floor(count * config["validation_fraction"] + 0.5)
    train = order[held_out:][: config["train_examples"]]
    size = config["batch_size"]
    found, epoch = [], 0
    while len(found) < STEPS:
        epoch += 1
        order = [train[i] for i in streams.permutation("shuffle", config["seed"], epoch, len(train))]
        found += [order[i : i + size] for i in range(0, len(order), size)]
    return found[:STEPS]


# Networks.


class ChannelsLast(nn.Module):
    """The order in which the engine flattens: height, width, channels."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def network(config):
    if config["model"] == "mlp":
        hidden = config["model.hidden"]
        return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))
    if config["model"] == "small-cnn":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            ChannelsLast(),
            nn.Flatten(),
            nn.Linear(7 * 7 * 32, 64),
            nn.ReLU(),
            nn.Linear(64, CLASSES),
        )
    assert config["model"] == "inception"
    return make.inception(32, (32, (24, 32), (8, 16), 16), CLASSES, config["model.batch_norm"])


@torch.no_grad()
def initialize(net, seed):
    """Sets the initial weights; each parameter, constant or not, has its own stream."""
    index = 0
    layers = [module for module in net.modules() if not any(module.children())]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            # In the engine's layout: sizes of the window, inputs, outputs.
            outputs, inputs, *window = layer.weight.shape
            places = math.prod(window)
            # He's bound before a ReLU, else Glorot's.
            fan = inputs * places
            if not isinstance(following, nn.ReLU):
                fan += outputs * places
            draws = 2.0 * streams.units("init", seed, index, layer.weight.numel()) - 1.0
            weights = (math.sqrt(6.0 / fan) * draws).astype(np.float32).astype(np.float64)
            weights = torch.from_numpy(weights).reshape(*window, inputs, outputs)
            rank = len(window)
            layer.weight.copy_(weights.permute(rank + 1, rank, *range(rank)))
            layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        else:
            assert not any(True for _ in layer.parameters())
        index += len(list(layer.parameters()))


# Runs.


def run(pixels, labels, **config):
    config |= {
        "train_examples": 400,
        "validation_fraction": 0.1,
        "split_seed": 0,
        "seed": 3,
    }
    net = network(config)
    initialize(net, config["seed"])
    changes = {"momentum": config["momentum"]} if "momentum" in config else {}
    options = {**make.DEFAULTS[config["optimizer"]], **changes}
    stepper = make.optimizer_for(config["optimizer"], net.parameters(), config["lr"], options)
    curves = {"loss": [], "accuracy": [], "grad_norm": []}
    for batch in batches(config, len(labels)):
        stepper.zero_grad()
        logits = net(pixels[batch])
        loss = F.cross_entropy(logits, labels[batch])
        loss.backward()
        correct = int((logits.argmax(dim=1) == labels[batch]).sum())
        curves["loss"].append(loss.item())
        curves["accuracy"].append(correct / len(batch))
        curves["grad_norm"].append(make.gradient_norm(net))
        stepper.step()
    short = {name: [float(f"{x:.10g}") for x in values] for name, values in curves.items()}
    return {"config": config, **short}


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    mlp = {"model": "mlp", "model.hidden": 128, "batch_size": 32}
    cnn = {"model": "small-cnn", "batch_size": 32}
    inception = {"model": "inception", "batch_size": 16}
    adam = {"optimizer": "adam", "lr": 0.001}
    data = examples()
    runs = [
        run(*data, **mlp, optimizer="sgd", lr=0.05, momentum=0.0),
        run(*data, **mlp, **adam),
        run(*data, **cnn, optimizer="sgd", lr=0.02, momentum=0.9),
        run(*data, **cnn, **adam),
        run(*data, **inception, **{"model.batch_norm": False}, **adam),
        run(*data, **inception, **{"model.batch_norm": True}, **adam),
    ]
    make.write("runs.json", runs)


if __name__ == "__main__":
    main()
