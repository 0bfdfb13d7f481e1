"""The models of a workload with JAX, each a scan over its batches, all in one jit.

map: lax.map over the models, one after another.
vmap: vmap over the models, all at once.
"""

import common


def prepare(workload, data, arguments, count):
    # here, so that only the processes that train load JAX
    import jax
    import numpy as np
    from jax import lax
    from jax import numpy as jnp

    features, labels = jnp.asarray(data.features), jnp.asarray(data.labels)
    held_out = jnp.asarray(data.held_out)

    def initial(key):
        """PyTorch's: all uniform within one over the square root of the inputs."""

        def layer(key, shape, inputs):
            keys = jax.random.split(key)
            bound = inputs**-0.5
            weight = jax.random.uniform(keys[0], shape, minval=-bound, maxval=bound)
            return weight, jax.random.uniform(keys[1], shape[-1:], minval=-bound, maxval=bound)

        layers = []
        if image := workload.image:
            inputs = 1
            for outputs in image.channels:
                key, own = jax.random.split(key)
                weights = inputs * image.filter**2
                layers.append(layer(own, (weights, outputs), weights))
                inputs = outputs
        for inputs, outputs in workload.dense_layers:
            key, own = jax.random.split(key)
            layers.append(layer(own, (inputs, outputs), inputs))
        return layers

    def convolution(x, weight):
        """Records × rows × columns × channels; one row of `weight` for each value of a filter."""
        size = workload.image.filter
        channels, side = x.shape[-1], x.shape[1] + 1 - size
        if arguments.convolution == "lax":
            return lax.conv_general_dilated(
                x,
                weight.reshape(size, size, channels, -1),
                (1, 1),
                "VALID",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        patches = [x[:, i : i + side, j : j + side] for i in range(size) for j in range(size)]
        return jnp.concatenate(patches, axis=-1) @ weight

    def forward(layers, x):
        convolutions = 0
        if image := workload.image:
            convolutions = len(image.channels)
            x = x.reshape(-1, image.side, image.side, 1)
            for weight, bias in layers[:convolutions]:
                x = convolution(x, weight) + bias
                records, side, _, channels = x.shape
                side //= image.pool
                x = x.reshape(records, side, image.pool, side, image.pool, channels)
                x = jax.nn.relu(x.max(axis=(2, 4)))
            x = x.reshape(x.shape[0], -1)
        for index, (weight, bias) in enumerate(layers[convolutions:]):
            x = (jax.nn.relu(x) if index else x) @ weight + bias
        return x

    def loss(layers, rows):
        logits = forward(layers, features[rows])
        chosen = jnp.take_along_axis(logits, labels[rows][:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - chosen).mean()

    def step(state, rows):
        """Adam."""
        layers, first, second, number = state
        gradients = jax.grad(loss)(layers, rows)
        number += 1
        correction = jnp.sqrt(1 - 0.999**number)
        rate, epsilon = 1e-3 * correction / (1 - 0.9**number), 1e-8 * correction
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        layers = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + epsilon), layers, first, second
        )
        return (layers, first, second, number), None

    def train_one(key, orders):
        whole = workload.rows // workload.batch_size * workload.batch_size

        def epoch(state, order):
            state, _ = lax.scan(step, state, order[:whole].reshape(-1, workload.batch_size))
            if whole < workload.rows:
                state, _ = step(state, order[whole:])
            return state, None

        layers = initial(key)
        zeros = jax.tree.map(jnp.zeros_like, layers)
        state, _ = lax.scan(epoch, (layers, zeros, zeros, jnp.float32(0)), orders)
        return state[0]

    def train_all(keys, orders):
        if arguments.way == "vmap":
            return jax.vmap(train_one)(keys, orders)
        return lax.map(lambda model: train_one(*model), (keys, orders))

    def keys_of(seeds):
        return jnp.stack([jax.random.key_data(jax.random.key(seed)) for seed in seeds])

    def orders_of(seeds):
        return jnp.asarray(np.stack([common.orders(workload, data, seed) for seed in seeds]))

    seeds = list(range(count))
    compiled = jax.jit(train_all).lower(keys_of(seeds), orders_of(seeds)).compile()

    def train(seeds):
        return jax.block_until_ready(compiled(keys_of(seeds), orders_of(seeds)))

    def logits(layers):
        ask = jax.jit(forward)
        for model in range(count):
            yield np.asarray(ask(jax.tree.map(lambda values: values[model], layers), held_out))

    return train, logits


if __name__ == "__main__":
    parser = common.parser(["map", "vmap"])
    parser.add_argument("--convolution", choices=["lax", "patches"], default="patches")
    arguments = parser.parse_args()
    common.run(f"jax {arguments.way}", prepare, arguments)
