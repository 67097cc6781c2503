"""Writes event files as other programs do, with TensorBoard's own writer: write_events.py FOLDER. One run per optimizer and seed, in the
layout of Keras (train/ and validation/), with numbers as tensors of 32 and 64 bits and as `simple_value`."""

import pathlib
import sys

import numpy
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

folder = pathlib.Path(sys.argv[1])


def write(writer, tag, step, value, how, wall):
    if how == "simple":
        v = summary_pb2.Summary.Value(tag=tag, simple_value=value)
    else:
        metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))
        tensor = tensor_util.make_tensor_proto(numpy.asarray(value, dtype=how))
        v = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
    writer.add_event(event_pb2.Event(wall_time=wall, step=step, summary=summary_pb2.Summary(value=[v])))


for optimizer, scale in [("sgd", 1.0), ("adam", 0.5)]:
    for seed in (0, 1):
        for split in ("train", "validation"):
            place = folder / f"{optimizer}" / f"seed-{seed}" / split
            writer = EventFileWriter(str(place))
            if split == "train":
                pb = hparams.hparams_pb({"optimizer": optimizer, "width": 64, "lr": 0.125})
                writer.add_event(event_pb2.Event(wall_time=1e9, summary=pb))
            for step in range(1, 101):
                loss = scale / step + seed / 1000
                if split == "train":
                    write(writer, "loss", step, loss, "float64", 1e9 + step)
                    write(writer, "learning_rate", step, 0.125, "simple", 1e9 + step)
                elif step % 50 == 0:
                    write(writer, "epoch_loss", step, 2 * loss, "float32", 1e9 + step)
                    write(writer, "epoch_accuracy", step, 1 - loss, "float32", 1e9 + step)
            writer.close()
