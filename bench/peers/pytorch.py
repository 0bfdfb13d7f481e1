"""The models of a workload with PyTorch.

sequential: one model after another. With --processes 2 --threads 1, two at a time.
stacked: all models in one tensor for each layer (dense layers only), products with baddbmm.
vmap: all models at once through torch.func.vmap.

The data are tensors in memory, shuffled once an epoch, and Adam is PyTorch's fused one.
"""

import common


def prepare(workload, data, arguments, count):
    # here, so that only the processes that train load PyTorch
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(arguments.threads)
    features = torch.from_numpy(data.features)
    labels = torch.from_numpy(data.labels)
    held_out = torch.from_numpy(data.held_out)
    memory_format = torch.channels_last if arguments.channels_last else torch.contiguous_format

    def network() -> nn.Module:
        layers = []
        if image := workload.image:
            layers.append(nn.Unflatten(-1, (1, image.side, image.side)))
            inputs = 1
            for outputs in image.channels:
                # pooling first gives the same numbers, and leaves ReLU a quarter
                layers += [nn.Conv2d(inputs, outputs, image.filter), nn.MaxPool2d(image.pool), nn.ReLU()]
                inputs = outputs
            layers.append(nn.Flatten(-3))
        for inputs, outputs in workload.dense_layers:
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1]).to(memory_format=memory_format)

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def sequential(seeds, epochs=workload.epochs):
        models = []
        for seed in seeds:
            torch.manual_seed(seed)
            model = network()
            optimiser = adam(model.parameters())
            forward = torch.compile(model) if arguments.compile else model
            for order in torch.from_numpy(common.orders(workload, data, seed)[:epochs]):
                batches = features[order].split(workload.batch_size)
                for x, y in zip(batches, labels[order].split(workload.batch_size)):
                    loss = F.cross_entropy(forward(x), y)
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    optimiser.step()
            models.append(model)
        return models

    def sequential_logits(models):
        with torch.inference_mode():
            return [model(held_out).numpy() for model in models]

    def batches_of(seeds, epochs):
        """Batches of all models: models × records × features, and models × records."""
        all_orders = torch.stack([torch.from_numpy(common.orders(workload, data, seed)) for seed in seeds])
        for epoch in range(epochs):
            for rows in all_orders[:, epoch].split(workload.batch_size, dim=1):
                x = features.index_select(0, rows.reshape(-1))
                y = labels.index_select(0, rows.reshape(-1))
                yield x.view(*rows.shape, -1), y.view(rows.shape)

    def stacked(seeds, epochs=workload.epochs):
        weights, biases = [], []
        torch.manual_seed(seeds[0])
        for inputs, outputs in workload.dense_layers:
            bound = inputs**-0.5
            weight = torch.empty(len(seeds), inputs, outputs).uniform_(-bound, bound)
            bias = torch.empty(len(seeds), 1, outputs).uniform_(-bound, bound)
            weights.append(weight.requires_grad_())
            biases.append(bias.requires_grad_())
        optimiser = adam(weights + biases)
        for x, y in batches_of(seeds, epochs):
            for layer, (weight, bias) in enumerate(zip(weights, biases)):
                x = torch.baddbmm(bias, x.relu() if layer else x, weight)
            # the mean over each model's batch, and the sum over the models
            loss = F.cross_entropy(x.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return weights, biases

    def stacked_logits(models):
        weights, biases = models
        with torch.inference_mode():
            for model in range(count):
                x = held_out
                for layer, (weight, bias) in enumerate(zip(weights, biases)):
                    x = torch.addmm(bias[model], x.relu() if layer else x, weight[model])
                yield x.numpy()

    def vmap(seeds, epochs=workload.epochs):
        models = []
        for seed in seeds:
            torch.manual_seed(seed)
            models.append(network())
        parameters, _ = torch.func.stack_module_state(models)
        optimiser = adam(parameters.values())

        def loss(parameters, x, y):
            return F.cross_entropy(torch.func.functional_call(models[0], parameters, (x,)), y)

        gradients_of = torch.func.vmap(torch.func.grad(loss))
        for x, y in batches_of(seeds, epochs):
            detached = {name: value.detach() for name, value in parameters.items()}
            for name, gradient in gradients_of(detached, x, y).items():
                parameters[name].grad = gradient
            optimiser.step()
        with torch.no_grad():
            for index, model in enumerate(models):
                for name, value in model.named_parameters():
                    value.copy_(parameters[name][index])
        return models

    train, logits = {
        "sequential": (sequential, sequential_logits),
        "stacked": (stacked, stacked_logits),
        "vmap": (vmap, sequential_logits),
    }[arguments.way]
    # an epoch, to warm up
    train(list(range(1 if arguments.way == "sequential" else count)), epochs=1)
    return train, logits


if __name__ == "__main__":
    parser = common.parser(["sequential", "stacked", "vmap"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    arguments = parser.parse_args()
    common.run(f"pytorch {arguments.way}", prepare, arguments)
