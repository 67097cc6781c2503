"""Train the small CNN once per learning rate and seed, in PyTorch or Keras: one epoch of real images each, with SGD.

The images lie in one tensor, are permuted once per epoch and cut into batches; nothing is logged or evaluated. The time of
the whole process counts, imports included. PyTorch is a little faster with the channels last; fused updates make no
difference to it here. In Keras, an epoch is one compiled function that serves all runs, which is faster than a function per
step, or fit.

Prints one JSON object: the mean loss on the last ten batches of every run.

Usage: python grid_worker.py torch 2 0.1:0 0.1:1 0.01:0
"""

import gzip
import json
import os
import sys
from pathlib import Path

from worker import keras_network, torch_network

DATA = Path(__file__).resolve().parents[2] / "data" / "fashion-mnist-mini"
BATCH = 64
SHOWN = 10


def read(name, header):
    import numpy as np

    return np.frombuffer(gzip.decompress((DATA / name).read_bytes()), np.uint8, offset=header)


def examples():
    """Images from 0 to 1, with the channel last, and labels."""
    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1).astype("float32") / 255
    return images, read("train-labels-idx1-ubyte.gz", 8).astype("int64")


def torch_runs(runs, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y = map(torch.from_numpy, examples())
    x = x.permute(0, 3, 1, 2)
    loss_of = nn.CrossEntropyLoss()
    for lr, seed in runs:
        torch.manual_seed(seed)
        net = torch_network("small-cnn").to(memory_format=torch.channels_last)
        stepper = torch.optim.SGD(net.parameters(), lr=lr)
        order = torch.randperm(len(x))
        images, labels = x[order].contiguous(memory_format=torch.channels_last), y[order]
        losses = []
        for at in range(0, len(x), BATCH):
            stepper.zero_grad(set_to_none=True)
            loss = loss_of(net(images[at : at + BATCH]), labels[at : at + BATCH])
            loss.backward()
            stepper.step()
            losses.append(loss.detach())
        yield torch.stack(losses[-SHOWN:]).mean().item()


def keras_runs(runs, threads):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras

    x, y = map(tf.constant, examples())
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = keras_network("small-cnn")
    stepper = keras.optimizers.SGD(0.1)
    stepper.build(net.trainable_variables)
    variables = net.trainable_variables

    @tf.function
    def epoch(images, labels):
        losses = tf.TensorArray(tf.float32, -(-len(x) // BATCH))
        for i in tf.range(losses.size()):
            at = i * BATCH
            with tf.GradientTape() as tape:
                loss = loss_of(labels[at : at + BATCH], net(images[at : at + BATCH], training=True))
            stepper.apply_gradients(zip(tape.gradient(loss, variables), variables))
            losses = losses.write(i, loss)
        return tf.reduce_mean(losses.stack()[-SHOWN:])

    for lr, seed in runs:
        keras.utils.set_random_seed(seed)
        net.set_weights(keras_network("small-cnn").get_weights())
        stepper.learning_rate.assign(lr)
        order = tf.random.shuffle(tf.range(len(x)))
        yield float(epoch(tf.gather(x, order), tf.gather(y, order)))


def main():
    framework, threads, *pairs = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    runs = [(float(lr), int(seed)) for lr, seed in (pair.split(":") for pair in pairs)]
    train = {"torch": torch_runs, "keras": keras_runs}[framework]
    print(json.dumps({"losses": list(train(runs, int(threads)))}))


if __name__ == "__main__":
    main()
