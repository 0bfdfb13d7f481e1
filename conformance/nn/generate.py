"""Ten optimiser steps of small networks in PyTorch, as expected values for giveaway-nn.

Run with PyTorch 2.15.0 (CPU): python generate.py > pytorch.txt

Each case starts from given weights and takes ten full-batch steps; a step is an epoch
and moves the schedule on. Written: the inputs, the labels, the weights before and after
(PyTorch's layout), and the loss before each step. One array a line: name, shape, values.
"""

import sys

import torch

STEPS = 10


def emit(name, values):
    values = values.detach()
    shape = "x".join(str(n) for n in values.shape)
    numbers = " ".join(repr(x) for x in values.flatten().tolist())
    print(f"{name} {shape} {numbers}")


def network(inputs, hidden, classes, activation):
    layers = []
    for units in hidden:
        layers += [torch.nn.Linear(inputs, units), activation()]
        inputs = units
    return torch.nn.Sequential(*layers, torch.nn.Linear(inputs, classes))


def case(name, hidden, activation, smoothing, optimiser, schedule, soft=False):
    print(f"case {name}")
    rows, inputs, classes = 21, 9, 5
    x = torch.randn(rows, inputs)
    y = torch.randint(classes, (rows,))
    model = network(inputs, hidden, classes, activation)
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    emit("features", x)
    emit("labels", y)
    for layer in linear:
        emit("weight-before", layer.weight)
        emit("bias-before", layer.bias)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    if soft:
        targets = torch.softmax(2 * torch.randn(rows, classes), 1)
        weights = 2 * torch.rand(rows)
        emit("soft-labels", targets)
        emit("record-weights", weights)
        each = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")

        def criterion(logits, _):
            return (weights * each(logits, targets)).mean()

    optimiser = optimiser(model.parameters())
    schedule = schedule(optimiser)
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = criterion(model(x), y)
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
        schedule.step()
    emit("losses", torch.tensor(losses))
    for layer in linear:
        emit("weight-after", layer.weight)
        emit("bias-after", layer.bias)
    emit("logits-after", model(x))


def image_case(name, convolutions, activation, optimiser):
    """Convolutions (channels, size, padding, pooling), then one hidden layer of 6 units."""
    print(f"case {name}")
    rows, channels, height, width, classes = 13, 2, 9, 8, 5
    x = torch.randn(rows, channels, height, width)
    y = torch.randint(classes, (rows,))
    layers = []
    for outputs, size, padding, pooling in convolutions:
        layers += [torch.nn.Conv2d(channels, outputs, size, padding=padding), activation()]
        if pooling is not None:
            layers.append(pooling(2))
        channels = outputs
    flat = torch.nn.Sequential(*layers, torch.nn.Flatten())(x).shape[1]
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), network(flat, [6], classes, activation))
    kinds = {torch.nn.Conv2d: ("filters", "filter-bias"), torch.nn.Linear: ("weight", "bias")}

    def emit_parameters(when):
        for layer in model.modules():
            if type(layer) in kinds:
                weight, bias = kinds[type(layer)]
                emit(f"{weight}-{when}", layer.weight)
                emit(f"{bias}-{when}", layer.bias)

    # records as giveaway-nn takes them: a pixel's channels side by side
    emit("features", x.permute(0, 2, 3, 1).flatten(1))
    emit("labels", y)
    emit_parameters("before")
    optimiser = optimiser(model.parameters())
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    emit("losses", torch.tensor(losses))
    emit_parameters("after")
    emit("logits-after", model(x))


def main():
    torch.manual_seed(20240717)
    torch.set_num_threads(1)
    # the expected values should not carry PyTorch's own rounding
    torch.set_default_dtype(torch.float64)
    adam, sgd = torch.optim.Adam, torch.optim.SGD
    relu, tanh = torch.nn.ReLU, torch.nn.Tanh
    rates = torch.optim.lr_scheduler

    def constant(optimiser):
        return rates.ConstantLR(optimiser, factor=1.0)

    def cosine(optimiser):
        return rates.CosineAnnealingLR(optimiser, T_max=STEPS)

    def step(optimiser):
        return rates.StepLR(optimiser, step_size=3, gamma=0.5)

    print(f"# PyTorch {torch.__version__}, generate.py")
    case("adam", [8, 6], relu, 0.0, lambda p: adam(p, lr=0.01), constant)
    case("adam-l2-smoothing", [7], tanh, 0.1, lambda p: adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.05), constant)
    case("sgd", [], relu, 0.0, lambda p: sgd(p, lr=0.5), constant)
    case("sgd-momentum-l2", [8, 6], tanh, 0.0, lambda p: sgd(p, lr=0.1, momentum=0.9, weight_decay=0.01), constant)
    case("sgd-nesterov", [17], relu, 0.2, lambda p: sgd(p, lr=0.1, momentum=0.8, nesterov=True), constant)
    case("cosine", [8], relu, 0.0, lambda p: sgd(p, lr=0.3, momentum=0.5), cosine)
    case("step", [8], tanh, 0.0, lambda p: adam(p, lr=0.03), step)
    largest, mean = torch.nn.MaxPool2d, torch.nn.AvgPool2d
    image_case("image-max", [(5, 3, "valid", largest), (4, 3, "same", None)], relu, lambda p: adam(p, lr=0.01))
    image_case("image-mean", [(3, 3, "same", mean), (4, 2, "valid", largest)], tanh, lambda p: sgd(p, lr=0.2, momentum=0.9))
    case("adamw", [8, 6], tanh, 0.0, lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.3), cosine)
    case("soft", [8, 6], relu, 0.1, lambda p: adam(p, lr=0.02), constant, soft=True)


if __name__ == "__main__":
    sys.exit(main())
