"""Time the training step of one network in PyTorch or Keras, in a process of its own.

Prints one JSON object: milliseconds per step (median), peak memory in MiB, versions. Nothing is logged while it trains and
the batch is always the same, in the layout that the framework likes.

Usage: python worker.py torch:channels_last:fused small-cnn 32 adam 2 [seconds]

`torch:matmul matmul 2048 none 2` times a matrix product instead: what the processor can do at best.
"""

import json
import os
import resource
import statistics
import sys
import time

SHAPES = {"mlp": (28, 28, 1), "small-cnn": (28, 28, 1), "stacked-cnn": (32, 32, 3)}


def shape_of(model):
    return SHAPES.get(model, (28, 28, 1))


def measure(step, seconds):
    """Median milliseconds over at least five steps and so many seconds, after a warm-up of a fifth of it."""
    start = time.perf_counter()
    warm = 0
    while warm < 3 or time.perf_counter() - start < seconds / 5:
        step()
        warm += 1
    times = []
    start = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1e3)
    return statistics.median(times)


def torch_network(model):
    from torch import cat, nn

    class Module(nn.Module):
        """An Inception module of 96 channels."""

        def __init__(self, channels, norm):
            super().__init__()
            self.one = conv(channels, 32, 1, norm)
            self.three = nn.Sequential(conv(channels, 24, 1, norm), conv(24, 32, 3, norm))
            self.five = nn.Sequential(conv(channels, 8, 1, norm), conv(8, 16, 5, norm))
            self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, 16, 1, norm))

        def forward(self, x):
            return cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)

    def conv(channels, filters, size, norm=False):
        layers = [nn.Conv2d(channels, filters, size, padding=size // 2)]
        return nn.Sequential(*layers, *([nn.BatchNorm2d(filters)] if norm else []), nn.ReLU())

    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    if model == "small-cnn":
        return nn.Sequential(
            conv(1, 16, 3), nn.MaxPool2d(2), conv(16, 32, 3), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1568, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    if model == "stacked-cnn":
        return nn.Sequential(
            conv(3, 64, 1), conv(64, 64, 1), nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 256, 5), nn.ReLU(),
            nn.MaxPool2d(3, 1, 1), nn.Flatten(), nn.Linear(256 * 26 * 26, 512), nn.ReLU(), nn.Linear(512, 10),
        )  # fmt: skip
    norm = model == "inception-bn"
    return nn.Sequential(
        conv(1, 32, 3, norm), Module(32, norm), nn.MaxPool2d(2), Module(96, norm),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10),
    )  # fmt: skip


def torch_step(modes, model, batch, optimizer, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    versions = {"torch": torch.__version__}
    if model == "matmul":
        left, right, product = (torch.randn(batch, batch) for _ in range(3))
        return lambda: torch.mm(left, right, out=product), versions
    net = torch_network(model)
    h, w, c = shape_of(model)
    x = torch.randn(batch, c, h, w)
    if "channels_last" in modes:
        net = net.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    options = {"fused": True} if "fused" in modes else {}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    stepper = kind(net.parameters(), lr=1e-4, **options)
    run = torch.compile(net) if "compile" in modes else net
    loss_of = nn.CrossEntropyLoss()

    def step():
        stepper.zero_grad(set_to_none=True)
        loss = loss_of(run(x), y)
        loss.backward()
        stepper.step()
        return loss.item()

    return step, versions


def keras_network(model):
    import keras
    from keras import layers

    def conv(x, filters, size, norm=False, padding="same"):
        x = layers.Conv2D(filters, size, padding=padding, activation=None if norm else "relu")(x)
        return layers.ReLU()(layers.BatchNormalization()(x)) if norm else x

    def module(x, norm):
        pool = conv(layers.MaxPooling2D(3, 1, padding="same")(x), 16, 1, norm)
        five = conv(conv(x, 8, 1, norm), 16, 5, norm)
        three = conv(conv(x, 24, 1, norm), 32, 3, norm)
        return layers.Concatenate()([conv(x, 32, 1, norm), three, five, pool])

    given = keras.Input(shape_of(model))
    if model == "mlp":
        x = layers.Dense(128, activation="relu")(layers.Flatten()(given))
    elif model == "small-cnn":
        x = layers.MaxPooling2D(2)(conv(given, 16, 3))
        x = layers.MaxPooling2D(2)(conv(x, 32, 3))
        x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    elif model == "stacked-cnn":
        x = conv(conv(given, 64, 1), 64, 1)
        x = conv(conv(x, 128, 3, padding="valid"), 256, 5, padding="valid")
        x = layers.Flatten()(layers.MaxPooling2D(3, 1, padding="same")(x))
        x = layers.Dense(512, activation="relu")(x)
    else:
        norm = model == "inception-bn"
        x = module(conv(given, 32, 3, norm), norm)
        x = module(layers.MaxPooling2D(2)(x), norm)
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(10)(x))


def keras_step(modes, model, batch, optimizer, threads):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1 if threads == 1 else threads)
    import keras

    keras.utils.set_random_seed(0)
    net = keras_network(model)
    rng = np.random.default_rng(0)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    stepper = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[optimizer](1e-4)
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    if "fit" in modes:
        # Several steps at a time, timed together, so that the loop around them costs the least.
        steps = 4 if model == "stacked-cnn" else 50
        x = rng.standard_normal((batch * steps, *shape_of(model)), dtype=np.float32)
        y = rng.integers(0, 10, batch * steps)
        net.compile(optimizer=stepper, loss=loss_of)
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch).cache().repeat()

        def many():
            net.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)

        return many, {**versions, "steps": steps}
    x = tf.constant(rng.standard_normal((batch, *shape_of(model)), dtype=np.float32))
    y = tf.constant(rng.integers(0, 10, batch))
    stepper.build(net.trainable_variables)

    @tf.function(jit_compile="xla" in modes)
    def compiled():
        with tf.GradientTape() as tape:
            loss = loss_of(y, net(x, training=True))
        variables = net.trainable_variables
        stepper.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return lambda: float(compiled()), versions


def main():
    mode, model, batch, optimizer, threads = sys.argv[1:6]
    seconds = float(sys.argv[6]) if len(sys.argv) > 6 else 3.0
    os.environ["OMP_NUM_THREADS"] = threads
    framework, *modes = mode.split(":")
    make = {"torch": torch_step, "keras": keras_step}[framework]
    step, facts = make(modes, model, int(batch), optimizer, int(threads))
    ms = measure(step, seconds) / facts.pop("steps", 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms": ms, "peak_mib": peak, "versions": facts}))


if __name__ == "__main__":
    main()
