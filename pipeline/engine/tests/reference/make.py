"""Write the reference numbers that the tests compare with, computed by PyTorch.

Writes beside itself, all computed in float64:

- optimizers.json: weights after each of 12 updates with given gradients;
- schedules.json: the learning rate of every step;
- layers.json: outputs and gradients of single layers;
- training.json: losses and gradient norms of short trainings of small networks.

Made with PyTorch 2.15.0 (on the CPU). Everything is seeded; another version or
processor may change the last digits.

Usage: python make.py
"""

import json
import math
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

HERE = Path(__file__).resolve().parent
STEPS = 12


def write(name, value):
    text = json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
    assert len(text) < 200_000, name
    (HERE / name).write_text(text)


def tensor(value):
    return {"shape": list(value.shape), "data": value.detach().flatten().tolist()}


def rounded(shape, scale=1.0, digits=4):
    """Random numbers short enough to read."""
    values = (torch.randn(shape) * scale).flatten().tolist()
    return torch.tensor([round(v, digits) for v in values]).reshape(shape)


# Optimizers.

DEFAULTS = {
    "sgd": {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0},
    "adagrad": {"eps": 1e-10, "weight_decay": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01},
}

TORCH = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def optimizer_for(name, params, lr, config):
    options = dict(config)
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    return TORCH[name](params, lr=lr, foreach=False, **options)


def gradients():
    """Ordinary, always zero, large, tiny (near eps) and sometimes zero components."""
    torch.manual_seed(1)
    steps = []
    for step in range(STEPS):
        a, b, c, d = torch.randn(4).tolist()
        steps.append(
            [
                round(a, 4),
                0.0,
                round(80.0 * b, 2),
                round(c, 3) * 1e-8,
                0.0 if step % 3 != 1 else round(0.05 * d, 5),
            ]
        )
    return steps


def optimizer_case(name, optimizer, lr, **changes):
    config = {**DEFAULTS[optimizer], **changes}
    assert set(config) == set(DEFAULTS[optimizer])
    rates = lr if isinstance(lr, list) else [lr] * STEPS
    initial = [0.5, -1.25, 2.0, -0.75, 0.1]
    weight = torch.tensor(initial, requires_grad=True)
    stepper = optimizer_for(optimizer, [weight], rates[0], config)
    steps = gradients()
    weights = []
    for rate, gradient in zip(rates, steps, strict=True):
        stepper.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        stepper.step()
        weights.append(weight.tolist())
    return {
        "name": name,
        "optimizer": optimizer,
        "config": config,
        "lr": rates,
        "initial": initial,
        "gradients": steps,
        "weights": weights,
    }


def optimizers():
    varying = [0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.03, 0.03, 0.005, 0.005, 0.001, 0.0]
    case = optimizer_case
    return [
        case("sgd plain", "sgd", 0.01),
        case("sgd momentum", "sgd", 0.01, momentum=0.9),
        case("sgd nesterov", "sgd", 0.01, momentum=0.9, nesterov=True),
        case("sgd decay", "sgd", 0.01, weight_decay=0.1),
        case("sgd momentum decay", "sgd", 0.02, momentum=0.5, weight_decay=0.05),
        case("sgd nesterov decay", "sgd", 0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        case("sgd varying lr", "sgd", varying, momentum=0.9),
        case("rmsprop default", "rmsprop", 0.01),
        case("rmsprop decay", "rmsprop", 0.01, weight_decay=0.1),
        case("rmsprop momentum", "rmsprop", 0.01, alpha=0.9, eps=1e-4, momentum=0.8),
        case("rmsprop all", "rmsprop", 0.02, alpha=0.8, eps=1e-3, momentum=0.5, weight_decay=0.05),
        case("rmsprop varying lr", "rmsprop", varying, momentum=0.9),
        case("adagrad default", "adagrad", 0.05),
        case("adagrad decay", "adagrad", 0.05, weight_decay=0.1),
        case("adagrad eps", "adagrad", 0.1, eps=1e-3),
        case("adagrad varying lr", "adagrad", varying, weight_decay=0.02),
        case("adam default", "adam", 0.001),
        case("adam decay", "adam", 0.01, weight_decay=0.1),
        case("adam betas eps", "adam", 0.02, beta1=0.7, beta2=0.95, eps=1e-4),
        case("adam varying lr", "adam", varying),
        case("adamw default", "adamw", 0.001),
        case("adamw no decay", "adamw", 0.01, weight_decay=0.0),
        case("adamw decay", "adamw", 0.01, weight_decay=0.2),
        case("adamw betas eps", "adamw", 0.02, beta1=0.7, beta2=0.95, eps=1e-4, weight_decay=0.1),
        case("adamw varying lr", "adamw", varying, weight_decay=0.1),
    ]


# Schedules.


def main_schedule(stepper, schedule, config, steps):
    if schedule == "constant":
        return lr_scheduler.LambdaLR(stepper, lambda t: 1.0)
    if schedule == "step":
        return lr_scheduler.StepLR(stepper, config["step_size"], config["gamma"])
    if schedule == "exponential":
        return lr_scheduler.ExponentialLR(stepper, config["gamma"])
    if schedule == "inverse_time":
        return lr_scheduler.LambdaLR(stepper, lambda t: 1.0 / (1.0 + config["decay"] * t))
    if schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(stepper, T_max=steps, eta_min=config["min_lr"])
    raise ValueError(schedule)


def closed_form(schedule, config, lr, total, t):
    warmup = config["warmup_steps"]
    if t < warmup:
        return lr * (t + 1) / warmup
    t -= warmup
    if schedule == "constant":
        return lr
    if schedule == "step":
        return lr * config["gamma"] ** (t // config["step_size"])
    if schedule == "exponential":
        return lr * config["gamma"] ** t
    if schedule == "inverse_time":
        return lr / (1.0 + config["decay"] * t)
    low = config["min_lr"]
    return low + 0.5 * (lr - low) * (1.0 + math.cos(math.pi * t / (total - warmup)))


def schedule_case(schedule, lr, total, warmup=0, **keys):
    config = {**keys, "warmup_steps": warmup}
    stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    if warmup == 0:
        scheduler = main_schedule(stepper, schedule, config, total)
    else:
        if warmup == 1:
            # One step of warmup runs at the full rate.
            ramp = lr_scheduler.ConstantLR(stepper, factor=1.0, total_iters=1)
        else:
            ramp = lr_scheduler.LinearLR(
                stepper, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1
            )
        main = main_schedule(stepper, schedule, config, total - warmup)
        scheduler = lr_scheduler.SequentialLR(stepper, [ramp, main], milestones=[warmup])
    values = []
    for step in range(total):
        value = stepper.param_groups[0]["lr"]
        expected = closed_form(schedule, config, lr, total, step)
        assert math.isclose(value, expected, rel_tol=1e-11), (schedule, config, step, value, expected)
        values.append(value)
        stepper.step()
        scheduler.step()
    return {
        "name": schedule if warmup == 0 else f"{schedule} warmup {warmup}",
        "schedule": schedule,
        "config": config,
        "lr": lr,
        "total_steps": total,
        "values": values,
    }


def schedules():
    case = schedule_case
    cases = [
        case("constant", 0.1, 30),
        case("step", 0.1, 40, step_size=7, gamma=0.5),
        case("exponential", 0.05, 40, gamma=0.93),
        case("inverse_time", 0.2, 40, decay=0.05),
        case("cosine", 0.1, 50, min_lr=0.0),
        case("cosine", 0.01, 37, min_lr=0.002),
        case("constant", 0.1, 30, warmup=5),
        case("step", 0.1, 45, warmup=6, step_size=10, gamma=0.1),
        case("exponential", 0.05, 40, warmup=4, gamma=0.9),
        case("inverse_time", 0.2, 40, warmup=8, decay=0.1),
        case("cosine", 0.1, 60, warmup=10, min_lr=0.001),
        case("cosine", 0.1, 30, warmup=1, min_lr=0.0),
        case("step", 0.1, 30, warmup=2, step_size=1, gamma=0.9),
    ]
    for index, entry in enumerate(cases):
        if entry["name"] in {other["name"] for other in cases[:index]}:
            entry["name"] += f" min {entry['config']['min_lr']}"
    return cases


# Layers.


def layer_case(op, config, function, given, *params):
    given = given.clone().requires_grad_()
    params = [p.clone().requires_grad_() for p in params]
    output = function(given, *params)
    if op == "softmax_cross_entropy":
        output = output.reshape(1)
        grad_output = torch.ones(1)
    else:
        grad_output = rounded(output.shape)
    output.backward(grad_output)
    tensors = [given, output, grad_output, *params]
    assert all(t.numel() <= 400 for t in tensors), [t.shape for t in tensors]
    return {
        "op": op,
        "config": config,
        "input": tensor(given),
        "params": [tensor(p) for p in params],
        "output": tensor(output),
        "grad_output": tensor(grad_output),
        "grad_input": tensor(given.grad),
        "grad_params": [tensor(p.grad) for p in params],
    }


def dense(shape, out):
    return layer_case("dense", {}, F.linear, rounded(shape), rounded((out, shape[1])), rounded((out,)))


def conv(shape, out, kernel, stride, padding):
    rank = len(kernel)
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    return layer_case(
        f"conv{rank}d",
        {"stride": list(stride), "padding": list(padding)},
        lambda x, w, b: function(x, w, b, stride=stride, padding=padding),
        rounded(shape),
        rounded((out, shape[1], *kernel), 0.5),
        rounded((out,)),
    )


def grouped_conv2d(op, shape, out, kernel, stride, padding, groups, bias=True):
    return layer_case(
        op,
        {"stride": list(stride), "padding": list(padding)},
        lambda x, w, b=None: F.conv2d(x, w, b, stride=stride, padding=padding, groups=groups),
        rounded(shape),
        rounded((out, shape[1] // groups, *kernel), 0.5),
        *([rounded((out,))] if bias else []),
    )


def activations():
    """Each with its kink or centre at 0, and far out."""
    given = rounded((3, 7), 2.0)
    given[0, 0] = given[2, 6] = 0.0
    given[1, 1], given[1, 2] = 9.0, -9.0
    functions = [
        ("leaky_relu", {"parameter": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
        ("gelu", {}, F.gelu),
        ("silu", {}, F.silu),
        ("tanh", {}, torch.tanh),
        ("sigmoid", {}, torch.sigmoid),
        ("elu", {"parameter": 1.3}, lambda x: F.elu(x, 1.3)),
    ]
    return [layer_case(op, config, function, given) for op, config, function in functions]


def global_max_pool(shape):
    given = ((torch.randperm(math.prod(shape)) - 30) / 16).reshape(shape)
    return layer_case("global_max_pool", {}, lambda x: F.adaptive_max_pool2d(x, 1), given)


def max_pool2d(shape, kernel, stride, padding, shift=0.0):
    # Distinct numbers, so that every window has one largest.
    count = math.prod(shape)
    given = (torch.randperm(count) - count // 2) / 16 + shift
    return layer_case(
        "max_pool2d",
        {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)},
        lambda x: F.max_pool2d(x, kernel, stride, padding),
        given.reshape(shape),
    )


def avg_pool2d(shape, kernel, stride, padding):
    return layer_case(
        "avg_pool2d",
        {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)},
        lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False),
        rounded(shape),
    )


def batch_norm(shape, offsets):
    """One batch in training, and the same images again in evaluation."""
    config = {"eps": 1e-5, "momentum": 0.1}
    given = rounded(shape, 2.0) + torch.tensor(offsets).reshape(-1, 1, 1)
    gamma, beta = rounded((shape[1],)), rounded((shape[1],))
    mean, variance = torch.zeros(shape[1]), torch.ones(shape[1])

    def normalize(x, gamma, beta, training=True):
        return F.batch_norm(x, mean, variance, gamma, beta, training, **config)

    return {
        **layer_case("batch_norm", config, normalize, given, gamma, beta),
        "running_mean": tensor(mean),
        "running_var": tensor(variance),
        "eval_output": tensor(normalize(given, gamma, beta, training=False)),
    }


def cross_entropy(logits, labels):
    return layer_case(
        "softmax_cross_entropy",
        {"labels": labels},
        lambda x: F.cross_entropy(x, torch.tensor(labels)),
        logits,
    )


def layers():
    torch.manual_seed(2)
    relu_input = rounded((3, 7))
    relu_input[0, 0] = relu_input[1, 3] = relu_input[2, 6] = 0.0
    large = torch.tensor(
        [
            [50.0, -50.0, 0.0, 49.5],
            [50.0, -50.0, 0.0, 1.0],
            [-50.0, -50.0, -50.0, -50.0],
            [-50.0, 50.0, 50.0, 3.0],
        ]
    )
    return [
        dense((4, 6), 5),
        dense((1, 9), 3),
        conv((2, 3, 4, 5), 4, (1, 1), (1, 1), (0, 0)),
        conv((2, 2, 6, 6), 3, (3, 3), (1, 1), (1, 1)),
        conv((2, 2, 7, 6), 3, (5, 3), (1, 1), (0, 0)),
        conv((2, 2, 7, 10), 3, (3, 3), (2, 2), (1, 1)),
        conv((1, 3, 5, 6), 2, (3, 3), (1, 2), (1, 0)),
        # The last row and column are in no window.
        conv((3, 1, 8, 8), 1, (3, 3), (2, 2), (0, 0)),
        max_pool2d((2, 3, 5, 7), (2, 2), (2, 2), (0, 0)),
        # All negative: padding must never win.
        max_pool2d((2, 2, 5, 6), (3, 3), (1, 1), (1, 1), shift=-10.0),
        max_pool2d((2, 2, 8, 7), (3, 3), (2, 2), (0, 0)),
        max_pool2d((1, 3, 6, 9), (2, 3), (2, 1), (0, 1)),
        layer_case("relu", {}, F.relu, relu_input),
        cross_entropy(rounded((5, 4), 2.0), [0, 3, 1, 1, 2]),
        cross_entropy(large, [0, 1, 2, 1]),
        conv((2, 3, 9), 4, (3,), (1,), (1,)),
        # The last number is in no window, as is the last column two cases on.
        conv((3, 2, 11), 3, (4,), (2,), (0,)),
        conv((2, 2, 3, 3, 4), 3, (3, 3, 3), (1, 1, 1), (1, 1, 1)),
        conv((2, 2, 3, 5, 6), 2, (2, 3, 3), (1, 2, 2), (0, 0, 0)),
        avg_pool2d((2, 2, 4, 5), (3, 3), (1, 1), (1, 1)),
        avg_pool2d((2, 3, 5, 7), (2, 2), (2, 2), (0, 0)),
        batch_norm((4, 3, 3, 5), [0.0, 3.0, -10.0]),
        # Padding of more than one, and of more than the window sees.
        conv((1, 2, 4, 5), 2, (3, 2), (2, 1), (2, 3)),
        grouped_conv2d("grouped_conv2d", (2, 4, 4, 5), 6, (3, 3), (1, 1), (1, 1), 2),
        grouped_conv2d("grouped_conv2d", (2, 6, 5, 5), 3, (2, 3), (2, 1), (0, 2), 3, bias=False),
        grouped_conv2d("depthwise_conv2d", (2, 3, 5, 5), 3, (3, 3), (1, 1), (1, 1), 3),
        grouped_conv2d("depthwise_conv2d", (2, 3, 5, 6), 6, (3, 2), (2, 1), (1, 0), 3, bias=False),
        *activations(),
        global_max_pool((2, 3, 3, 4)),
    ]


# Training.


class Parallel(nn.ModuleList):
    """Branches side by side, their channels one after another."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self], dim=1)


def convolution(channels, out, size, norm):
    """A convolution that keeps the size, and a ReLU, with batch normalisation between if wanted."""
    between = [nn.BatchNorm2d(out)] if norm else []
    return [nn.Conv2d(channels, out, size, padding=size // 2), *between, nn.ReLU()]


def inception_module(channels, one, three, five, pool, norm):
    """Four branches; `three` and `five` are (channels after the reduction, channels out)."""
    return Parallel(
        [
            nn.Sequential(*convolution(channels, one, 1, norm)),
            *(
                nn.Sequential(
                    *convolution(channels, reduced, 1, norm), *convolution(reduced, out, size, norm)
                )
                for size, (reduced, out) in ((3, three), (5, five))
            ),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), *convolution(channels, pool, 1, norm)),
        ]
    )


def inception(stem, widths, classes, norm):
    """Two modules of the same widths, for images of one channel."""
    one, (_, three), (_, five), pool = widths
    channels = one + three + five + pool
    return nn.Sequential(
        *convolution(1, stem, 3, norm),
        inception_module(stem, *widths, norm),
        nn.MaxPool2d(2),
        inception_module(channels, *widths, norm),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


# Seeds whose networks learn, with some hidden units alive at every step; learning rate of SGD.
NETS = {
    "mlp": (1, 0.1),
    "cnn": (27, 0.1),
    "stacked": (184, 0.02),
    "inception": (21, 0.02),
    "inception_bn": (19, 0.05),
}


def network(name):
    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(5, 6),
            nn.ReLU(),
            nn.Linear(6, 3),
        )
    if name == "stacked":
        return nn.Sequential(
            nn.Conv2d(1, 3, 1),
            nn.ReLU(),
            nn.Conv2d(3, 3, 1),
            nn.ReLU(),
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.MaxPool2d(3, 1, 1),
            nn.Flatten(),
            nn.Linear(20, 6),
            nn.ReLU(),
            nn.Linear(6, 3),
        )
    return inception(4, (4, (3, 4), (2, 3), 3), 3, norm=name == "inception_bn")


def start_strong(net):
    """He's weights, as PyTorch's own are too small for the signal to reach the end of a deep net."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")


def check_gradients(net):
    """All parameters have one, but biases that a normalisation takes off again."""
    modules = list(net.modules())
    for module, following in zip(modules, [*modules[1:], None], strict=True):
        for name, p in module.named_parameters(recurse=False):
            if name == "bias" and isinstance(following, nn.BatchNorm2d):
                assert p.grad.abs().max() < 1e-12
            else:
                assert p.grad.any()


def training_case(name, optimizer, lr, images, labels, **changes):
    seed, _ = NETS[name]
    torch.manual_seed(seed)
    config = {**DEFAULTS[optimizer], **changes}
    net = network(name)
    if name not in ("mlp", "cnn"):
        start_strong(net)
    initial = [tensor(p) for p in net.parameters()]
    stepper = optimizer_for(optimizer, net.parameters(), lr, config)
    batches, losses, norms = [], [], []
    for _ in range(50):
        batch = torch.randperm(len(images))[:4]
        stepper.zero_grad()
        loss = F.cross_entropy(net(images[batch]), labels[batch])
        loss.backward()
        check_gradients(net)
        norm = gradient_norm(net)
        stepper.step()
        batches.append(batch.tolist())
        losses.append(loss.item())
        norms.append(norm)
    return {
        "net": name,
        "optimizer": optimizer,
        "config": config,
        "lr": lr,
        "params": initial,
        "batches": batches,
        "loss": losses,
        "grad_norm": norms,
    }


def gradient_norm(net):
    return math.sqrt(math.fsum(float((p.grad**2).sum()) for p in net.parameters()))


def training():
    torch.manual_seed(5)
    images = rounded((12, 1, 6, 6))
    labels = torch.tensor([0, 1, 2] * 4)
    return {
        "images": tensor(images),
        "labels": labels.tolist(),
        "cases": [
            training_case(net, optimizer, lr, images, labels, **changes)
            for net, (_, rate) in NETS.items()
            for optimizer, lr, changes in (("sgd", rate, {"momentum": 0.9}), ("adam", 0.01, {}))
        ],
    }


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    # A sequence of schedulers warns about its own use of the step argument.
    warnings.filterwarnings("ignore", category=UserWarning, module="torch.optim.lr_scheduler")
    write("optimizers.json", optimizers())
    write("schedules.json", schedules())
    write("layers.json", layers())
    write("training.json", training())


if __name__ == "__main__":
    main()
