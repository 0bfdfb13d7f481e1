"""Ten optimiser steps of small networks in PyTorch, as expected values for giveaway-nn.

Run with PyTorch 2.15.0 (CPU): python generate.py > pytorch.txt

Each case starts from given weights and takes ten full-batch steps; a step is an epoch
and moves the schedule on. Written: the inputs, the labels, the weights before and after
(PyTorch's layout), and the loss before each step. Cases with residual additions have the
pairs of layers too, and gradients with respect to inputs and outputs of convolutions. One
array a line: name, shape, values.
"""

import sys

import torch

STEPS = 10


def emit(name, values, digits=17):
    values = values.detach()
    shape = "x".join(str(n) for n in values.shape)
    numbers = " ".join(repr(x) if digits == 17 else f"{x:.{digits}g}" for x in values.flatten().tolist())
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


class Residual(torch.nn.Module):
    """Layers, each followed by what `after` has for it; what layer `start` gave (0: the
    input) is added to the sums of layer `end`, for all pairs of `skips`."""

    def __init__(self, layers, after, skips):
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.after = after
        self.skips = skips

    def outputs(self, x):
        outputs = [x]
        for number, (layer, after) in enumerate(zip(self.layers, self.after), 1):
            sums = layer(outputs[-1])
            for start, end in self.skips:
                if end == number:
                    sums = sums + outputs[start]
            outputs.append(after(sums))
        return outputs

    def forward(self, x):
        return self.outputs(x)[-1]


def residual_dense(inputs, hidden, classes, activation, skips):
    widths = [inputs, *hidden, classes]
    layers = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
    return Residual(layers, [activation()] * len(hidden) + [torch.nn.Identity()], skips)


def train(model, x, y, optimiser):
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    emit("losses", torch.tensor(losses))


def residual_case(name, hidden, skips, activation, optimiser):
    print(f"case {name}")
    rows, inputs, classes = 21, 9, 5
    x = torch.randn(rows, inputs, requires_grad=True)
    y = torch.randint(classes, (rows,))
    model = residual_dense(inputs, hidden, classes, activation, skips)
    emit("features", x)
    emit("labels", y)
    emit("skips", torch.tensor(skips))

    def emit_parameters(when):
        for layer in model.layers:
            emit(f"weight-{when}", layer.weight)
            emit(f"bias-{when}", layer.bias)

    emit_parameters("before")
    emit("input-gradients-logit-3", torch.autograd.grad(model(x)[:, 3].sum(), x)[0])
    x = x.detach()
    train(model, x, y, optimiser(model.parameters()))
    emit_parameters("after")
    emit("logits-after", model(x))


def residual_image_case(name, convolutions, skips, hidden, dense_skips, activation, optimiser):
    """As image_case, with residual additions; and before the training, for every record, the
    outputs of each convolution and the gradients of a logit and of the record's own loss
    with respect to them, as Grad-CAM takes them."""
    print(f"case {name}")
    rows, channels, height, width, classes = 6, 2, 9, 8, 5
    x = torch.randn(rows, channels, height, width, requires_grad=True)
    y = torch.randint(classes, (rows,))
    layers, after = [], []
    for outputs, size, padding, pooling in convolutions:
        layers.append(torch.nn.Conv2d(channels, outputs, size, padding=padding))
        after.append(activation() if pooling is None else torch.nn.Sequential(activation(), pooling(2)))
        channels = outputs
    stem = Residual(layers, after, skips)
    flat = stem(x).flatten(1).shape[1]
    dense = residual_dense(flat, hidden, classes, activation, dense_skips)
    model = torch.nn.Sequential(stem, torch.nn.Flatten(), dense)
    emit("features", x.permute(0, 2, 3, 1).flatten(1))
    emit("labels", y)
    emit("image-skips", torch.tensor(skips))
    emit("skips", torch.tensor(dense_skips))

    def emit_parameters(when):
        for layer in stem.layers:
            emit(f"filters-{when}", layer.weight)
            emit(f"filter-bias-{when}", layer.bias)
        for layer in dense.layers:
            emit(f"weight-{when}", layer.weight)
            emit(f"bias-{when}", layer.bias)

    emit_parameters("before")
    outputs = stem.outputs(x)
    logits = dense(outputs[-1].flatten(1))
    losses = torch.nn.functional.cross_entropy(logits, y, reduction="sum")

    def emit_image(name, values):
        emit(name, values.permute(0, 2, 3, 1).flatten(1), digits=9)

    for quantity, of in [("logit-3", logits[:, 3].sum()), ("loss", losses)]:
        gradients = torch.autograd.grad(of, outputs, retain_graph=True)
        emit_image(f"input-gradients-{quantity}", gradients[0])
        for number, gradient in enumerate(gradients[1:], 1):
            emit_image(f"convolution-{number}-gradients-{quantity}", gradient)
    for number, output in enumerate(outputs[1:], 1):
        emit_image(f"convolution-{number}-outputs", output)
    x = x.detach()
    train(model, x, y, optimiser(model.parameters()))
    emit_parameters("after")
    emit("logits-after", model(x))


def objective_case(name, hidden, activation, objective, optimiser):
    """Losses other than the cross-entropy. `objective` gives the loss to descend and the loss to
    report, of logits, labels, soft labels, weights and the epoch."""
    print(f"case {name}")
    rows, inputs, classes = 21, 9, 5
    x = torch.randn(rows, inputs)
    y = torch.randint(classes, (rows,))
    model = network(inputs, hidden, classes, activation)
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    targets = torch.softmax(2 * torch.randn(rows, classes), 1)
    weights = 2 * torch.rand(rows)
    emit("features", x)
    emit("labels", y)
    emit("soft-labels", targets)
    emit("record-weights", weights)
    for layer in linear:
        emit("weight-before", layer.weight)
        emit("bias-before", layer.bias)
    optimiser = optimiser(model.parameters())
    losses = []
    for epoch in range(STEPS):
        optimiser.zero_grad()
        loss, reported = objective(model(x), y, targets, weights, epoch)
        losses.append(reported.item())
        loss.backward()
        optimiser.step()
    emit("losses", torch.tensor(losses))
    for layer in linear:
        emit("weight-after", layer.weight)
        emit("bias-after", layer.bias)
    emit("logits-after", model(x))


def entropy_reward(strength, smoothing):
    """Cross-entropy less strength times the entropy (Pereyra 2017, HAMP)."""
    each = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")

    def objective(logits, _, targets, weights, epoch):
        entropies = torch.distributions.Categorical(logits=logits).entropy()
        loss = (weights * (each(logits, targets) - strength * entropies)).mean()
        return loss, loss

    return objective


class Relaxed:
    """RelaxLoss (Chen, Yu and Fritz 2022), algorithm 1."""

    def __init__(self, level):
        self.level = level
        self.steps = []

    def __call__(self, logits, labels, targets, weights, epoch):
        each = torch.nn.CrossEntropyLoss(reduction="none")
        plain = (weights * each(logits, targets)).mean()
        if plain >= self.level:
            self.steps.append("descend")
            return plain, plain
        if epoch % 2 == 0:
            self.steps.append("ascend")
            return -plain, plain
        self.steps.append("flatten")
        probabilities = torch.softmax(logits, 1).detach()
        own = probabilities.gather(1, labels[:, None])
        flat = ((1 - own) / (logits.shape[1] - 1)).expand_as(logits).clone()
        flat.scatter_(1, labels[:, None], own)
        return (weights * each(logits, flat)).mean(), plain


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
    residual_case("residual", [9, 8, 9, 8], [(0, 1), (1, 3), (2, 4), (0, 3)], relu, lambda p: adam(p, lr=0.01))
    residual_case("residual-tanh", [9, 9, 9], [(0, 1), (1, 2), (1, 3), (1, 3)], tanh, lambda p: sgd(p, lr=0.1, momentum=0.9))
    residual_image_case(
        "residual-image-max",
        [(2, 3, "same", None), (5, 3, "same", None), (5, 3, "same", largest), (5, 1, "valid", mean)],
        [(0, 1), (2, 3), (3, 4)],
        [20, 6, 6],
        [(0, 1), (2, 3)],
        relu,
        lambda p: adam(p, lr=0.005),
    )
    residual_image_case(
        "residual-image-mean",
        [(3, 3, "same", None), (3, 3, "same", None), (3, 3, "same", mean), (4, 2, "valid", largest)],
        [(1, 2), (1, 3), (2, 3)],
        [7, 7],
        [(1, 2)],
        tanh,
        lambda p: sgd(p, lr=0.1, momentum=0.9),
    )
    objective_case("entropy-reward", [8, 6], relu, entropy_reward(0.7, 0.1), lambda p: adam(p, lr=0.03))
    relaxed = Relaxed(1.4)
    objective_case("relaxed", [8, 6], tanh, relaxed, lambda p: adam(p, lr=0.03))
    assert set(relaxed.steps) == {"descend", "ascend", "flatten"}, relaxed.steps
    print(relaxed.steps, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
