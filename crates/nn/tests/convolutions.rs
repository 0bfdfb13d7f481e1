//! Convolutional networks: outputs and gradients against a loss computed in f64 from its
//! definition, and how their training behaves.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Augmentation, Convolution, Dense, Error, Examples, Filters, Image, Kernel, Network,
    Optimiser, Padding, Pool, Privacy, Quantity, Schedule, Skip, Trained, Trainer, Training, train,
};
use giveaway_stats::random::Stream;
use ndarray::{Array2, Array3};

/// A network's parameters one after another in f64, and where each array starts.
struct Parameters {
    values: Vec<f64>,
    /// For each convolution: filters (outputs, inputs, size) and biases.
    filters: Vec<(usize, [usize; 3], usize)>,
    /// For each dense layer: weights (outputs, inputs) and biases.
    layers: Vec<(usize, [usize; 2], usize)>,
}

impl Parameters {
    fn new(filters: &[Filters], layers: &[Dense]) -> Self {
        let mut all = Self {
            values: Vec::new(),
            filters: Vec::new(),
            layers: Vec::new(),
        };
        let as_f64 = |x: &f32| f64::from(*x);
        for Filters { weight, bias } in filters {
            let start = all.values.len();
            all.values.extend(weight.iter().map(as_f64));
            let (outputs, inputs, size, _) = weight.dim();
            let biases = all.values.len();
            all.filters.push((start, [outputs, inputs, size], biases));
            all.values.extend(bias.iter().map(as_f64));
        }
        for Dense { weight, bias } in layers {
            let start = all.values.len();
            all.values.extend(weight.iter().map(as_f64));
            let (outputs, inputs) = weight.dim();
            let biases = all.values.len();
            all.layers.push((start, [outputs, inputs], biases));
            all.values.extend(bias.iter().map(as_f64));
        }
        all
    }

    fn of(trained: &Trained) -> Self {
        Self::new(trained.filters(), trained.layers())
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
    }
}

/// A convolution (from 1), one of its outputs (channel, row, column), and what is added to it.
type Nudge = (usize, (usize, usize, usize), f64);

/// Logits of one record by definition: channels × rows × columns, as PyTorch has it.
fn logits(network: &Network, parameters: &Parameters, record: &[f64]) -> Vec<f64> {
    outputs(network, parameters, record, None).1
}

/// The image and the outputs of all convolutions, and the logits.
fn outputs(
    network: &Network,
    parameters: &Parameters,
    record: &[f64],
    nudge: Option<Nudge>,
) -> (Vec<Array3<f64>>, Vec<f64>) {
    let image = network.image.as_ref().unwrap();
    let mut images = vec![Array3::from_shape_fn(
        (image.channels, image.height, image.width),
        |(channel, row, column)| record[(row * image.width + column) * image.channels + channel],
    )];
    for (number, (convolution, (start, [outputs, inputs, size], biases))) in
        (1..).zip(image.convolutions.iter().zip(&parameters.filters))
    {
        let values = &images[number - 1];
        let (_, height, width) = values.dim();
        let border = match convolution.padding {
            Padding::Valid => 0,
            Padding::Same => size / 2,
        };
        let shape = (
            *outputs,
            height + 2 * border + 1 - size,
            width + 2 * border + 1 - size,
        );
        let mut sums = Array3::from_shape_fn(shape, |(output, row, column)| {
            let mut sum = parameters.values[biases + output];
            for input in 0..*inputs {
                for down in 0..*size {
                    for right in 0..*size {
                        let place = ((output * inputs + input) * size + down) * size + right;
                        let (y, x) = (
                            (row + down).wrapping_sub(border),
                            (column + right).wrapping_sub(border),
                        );
                        if let Some(value) = values.get((input, y, x)) {
                            sum += parameters.values[start + place] * value;
                        }
                    }
                }
            }
            sum
        });
        for skip in image.skips.iter().filter(|skip| skip.to == number) {
            sums += &images[skip.from];
        }
        let sums = sums.mapv(|x| activate(network.activation, x));
        let mut values = match convolution.pool {
            None => sums,
            Some(pool) => Array3::from_shape_fn(
                (shape.0, shape.1 / 2, shape.2 / 2),
                |(channel, row, column)| {
                    let square = [(0, 0), (0, 1), (1, 0), (1, 1)]
                        .map(|(down, right)| sums[(channel, 2 * row + down, 2 * column + right)]);
                    match pool {
                        Pool::Max => square.into_iter().fold(f64::MIN, f64::max),
                        Pool::Average => square.into_iter().sum::<f64>() / 4.0,
                    }
                },
            ),
        };
        if let Some((_, place, by)) = nudge.filter(|nudge| nudge.0 == number) {
            values[place] += by;
        }
        images.push(values);
    }
    let mut layers: Vec<Vec<f64>> = vec![images[images.len() - 1].iter().copied().collect()];
    for (i, (start, [outputs, inputs], biases)) in parameters.layers.iter().enumerate() {
        let values = &layers[i];
        assert_eq!(values.len(), *inputs);
        let sums = (0..*outputs).map(|output| {
            let weights = &parameters.values[start + output * inputs..][..*inputs];
            let sum: f64 = weights.iter().zip(values).map(|(w, x)| w * x).sum();
            let skips = network.skips.iter().filter(|skip| skip.to == i + 1);
            let added: f64 = skips.map(|skip| layers[skip.from][output]).sum();
            let sum = sum + parameters.values[biases + output] + added;
            if i + 1 < parameters.layers.len() {
                activate(network.activation, sum)
            } else {
                sum
            }
        });
        let sums = sums.collect();
        layers.push(sums);
    }
    (images, layers.pop().unwrap())
}

fn loss(network: &Network, parameters: &Parameters, x: &Array2<f64>, labels: &[u32]) -> f64 {
    let mut total = 0.0;
    for (record, &label) in x.rows().into_iter().zip(labels) {
        let logits = logits(network, parameters, record.as_slice().unwrap());
        total += logits.iter().map(|x| x.exp()).sum::<f64>().ln() - logits[label as usize];
    }
    total / labels.len() as f64
}

/// A quantity of one record whose gradient is asked for.
fn quantity_of(quantity: Quantity, logits: &[f64], label: u32) -> f64 {
    match quantity {
        Quantity::Loss => logits.iter().map(|x| x.exp()).sum::<f64>().ln() - logits[label as usize],
        Quantity::Logit(class) => logits[class as usize],
    }
}

/// The outputs of every convolution, and central differences with respect to some of them.
fn check_convolution_gradients(
    trained: &Trained,
    x: &Array2<f64>,
    labels: &[u32],
    examples: &Examples,
    what: &str,
) {
    let (network, parameters) = (trained.network(), Parameters::of(trained));
    let count = network.image.as_ref().unwrap().convolutions.len();
    for quantity in [Quantity::Loss, Quantity::Logit(2)] {
        for convolution in 1..=count {
            let mut next = 0;
            trained.convolution_gradients(examples, convolution, quantity, |row, have, slopes| {
                assert_eq!(row, next);
                next += 1;
                let record = x.row(row).to_vec();
                let (images, _) = outputs(network, &parameters, &record, None);
                let want = &images[convolution];
                let (channels, height, width) = want.dim();
                assert_eq!(have.dim(), (height, width, channels), "{what}");
                assert_eq!(slopes.dim(), (height, width, channels), "{what}");
                let stride = (want.len() / 7).max(1) | 1;
                for (i, (place, want)) in want.indexed_iter().enumerate() {
                    let (channel, y, x) = place;
                    let have = f64::from(have[[y, x, channel]]);
                    assert!(
                        (have - want).abs() < 2e-6,
                        "{what}: {have} instead of {want}"
                    );
                    if i % stride != 0 {
                        continue;
                    }
                    let nudged = |by: f64| {
                        let nudge = Some((convolution, place, by));
                        let (_, logits) = outputs(network, &parameters, &record, nudge);
                        quantity_of(quantity, &logits, labels[row])
                    };
                    let h = 1e-5;
                    let want = (nudged(h) - nudged(-h)) / (2.0 * h);
                    let have = f64::from(slopes[[y, x, channel]]);
                    assert!(
                        (have - want).abs() < 1e-6 + 1e-5 * want.abs(),
                        "{what}, convolution {convolution}, {place:?}, {quantity:?}: \
                         {have} instead of {want}"
                    );
                }
            });
            assert_eq!(next, x.nrows());
        }
    }
}

/// Central differences of a quantity of each record with respect to some features.
fn gradients_of_features(
    network: &Network,
    parameters: &Parameters,
    x: &Array2<f64>,
    labels: &[u32],
    quantity: Quantity,
) -> Vec<([usize; 2], f64)> {
    let h = 1e-5;
    let mut gradients = Vec::new();
    for (row, record) in x.rows().into_iter().enumerate() {
        for feature in (0..network.inputs).step_by((network.inputs / 40).max(1) | 1) {
            let shifted = |by: f64| {
                let mut record = record.to_vec();
                record[feature] += by;
                quantity_of(quantity, &logits(network, parameters, &record), labels[row])
            };
            let gradient = (shifted(h) - shifted(-h)) / (2.0 * h);
            gradients.push(([row, feature], gradient));
        }
    }
    gradients
}

fn convolution(channels: usize, size: usize, padding: Padding, pool: Option<Pool>) -> Convolution {
    Convolution {
        channels,
        size,
        padding,
        pool,
    }
}

fn network(
    (height, width, channels): (usize, usize, usize),
    convolutions: &[Convolution],
    hidden: &[usize],
    activation: Activation,
) -> Network {
    Network {
        inputs: height * width * channels,
        image: Some(Image {
            height,
            width,
            channels,
            convolutions: convolutions.to_vec(),
            skips: Vec::new(),
        }),
        hidden: hidden.to_vec(),
        classes: 3,
        activation,
        dropout: 0.0,
        skips: Vec::new(),
    }
}

fn training(epochs: usize, batch_size: usize) -> Training {
    Training {
        epochs,
        batch_size,
        // a step of size 1 without momentum moves the parameters by their gradient
        learning_rate: 1.0,
        optimiser: Optimiser::sgd(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}

/// Height, width and channels of the input; convolutions; hidden layers.
type Shape = ((usize, usize, usize), Vec<Convolution>, Vec<usize>);

/// Shapes around the sizes of vectors, tiles and lines, of every padding and pooling.
fn shapes() -> Vec<Shape> {
    use Padding::{Same, Valid};
    use Pool::{Average, Max};
    vec![
        ((1, 1, 1), vec![convolution(1, 1, Valid, None)], vec![]),
        (
            (5, 4, 1),
            vec![convolution(3, 3, Valid, Some(Max))],
            vec![4],
        ),
        (
            (6, 9, 2),
            vec![convolution(17, 3, Same, Some(Average))],
            vec![],
        ),
        (
            (12, 11, 3),
            vec![
                convolution(16, 5, Valid, Some(Max)),
                convolution(20, 3, Same, None),
                convolution(5, 2, Valid, Some(Average)),
            ],
            vec![6, 5],
        ),
        (
            (15, 17, 1),
            vec![
                convolution(4, 3, Same, Some(Max)),
                convolution(33, 3, Same, Some(Max)),
                convolution(2, 1, Same, None),
            ],
            vec![7],
        ),
        (
            (9, 30, 1),
            vec![
                convolution(7, 4, Valid, Some(Average)),
                convolution(40, 3, Valid, None),
            ],
            vec![],
        ),
    ]
}

/// Networks with residual additions: from the image, over one convolution and over several,
/// to sums that are pooled in every way or not; among dense layers, from what convolutions
/// give too; several from and to one layer.
fn residual() -> Vec<Network> {
    use Padding::{Same, Valid};
    use Pool::{Average, Max};
    let with = |mut network: Network, convolutions: &[(usize, usize)], dense: &[(usize, usize)]| {
        let skips = |pairs: &[(usize, usize)]| {
            let skips = pairs.iter().map(|&(from, to)| Skip { from, to });
            skips.collect::<Vec<Skip>>()
        };
        network.image.as_mut().unwrap().skips = skips(convolutions);
        network.skips = skips(dense);
        network
    };
    let relu = Activation::Relu;
    let same = |channels, pool| convolution(channels, 3, Same, pool);
    let (first, last) = (
        [same(4, None), same(4, Some(Max))],
        [same(7, None), same(2, Some(Average))],
    );
    let deep = [
        same(3, None),
        same(17, Some(Average)),
        same(17, None),
        convolution(17, 1, Valid, Some(Average)),
    ];
    vec![
        with(network((6, 6, 1), &first, &[], relu), &[(1, 2)], &[]),
        with(network((5, 5, 2), &last, &[3], relu), &[(0, 2)], &[]),
        with(
            network((8, 7, 3), &deep, &[34, 34, 5], relu),
            &[(0, 1), (2, 3), (2, 4), (3, 4), (2, 4)],
            &[(0, 1), (0, 2), (1, 2), (1, 2)],
        ),
        with(
            network(
                (4, 4, 16),
                &[same(16, Some(Max)), same(16, None)],
                &[64, 9],
                relu,
            ),
            &[(0, 1), (1, 2)],
            &[(0, 1)],
        ),
    ]
}

fn data(network: &Network, rows: usize) -> (Array2<f32>, Vec<u32>, Examples) {
    let mut stream = Stream::new(4, "images", rows as u64);
    let x = Array2::from_shape_fn((rows, network.inputs), |_| stream.normal() as f32);
    let labels: Vec<u32> = (0..rows)
        .map(|_| stream.below(network.classes) as u32)
        .collect();
    let examples = Examples::new(x.view(), &labels, network.classes).unwrap();
    (x, labels, examples)
}

#[test]
fn outputs_and_gradients_agree_with_definitions() {
    let plain = shapes().into_iter().map(|(shape, convolutions, hidden)| {
        network(shape, &convolutions, &hidden, Activation::Relu)
    });
    for network in plain.chain(residual()) {
        for activation in [Activation::Relu, Activation::Tanh] {
            let network = Network {
                activation,
                ..network.clone()
            };
            let rows = 3;
            let (x, labels, examples) = data(&network, rows);
            let x = x.mapv(f64::from);
            let all: Vec<u32> = (0..rows as u32).collect();
            // what central differences say, worked out once for all kernels
            let mut expected: Vec<(usize, f64)> = Vec::new();
            for kernel in Kernel::available() {
                let train = |epochs| {
                    let training = training(epochs, rows);
                    let trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
                    trainer.train(&examples, &all, &[], 5).unwrap()
                };
                let (before, after) = (train(0), train(1));
                let mut parameters = Parameters::of(&before);
                let what = format!("{kernel}, {network:?}");
                for (row, have) in before.logits(&examples).rows().into_iter().enumerate() {
                    let want = logits(&network, &parameters, x.row(row).as_slice().unwrap());
                    for (have, want) in have.iter().zip(want) {
                        let difference = (f64::from(*have) - want).abs();
                        assert!(difference < 2e-6, "{what}: {have} instead of {want}");
                    }
                }
                if expected.is_empty() {
                    let stride = (parameters.values.len() / 300).max(1) | 1;
                    let last_biases = parameters.values.len() - network.classes;
                    let some = (0..last_biases).step_by(stride);
                    for index in some.chain(last_biases..last_biases + network.classes) {
                        let mut shifted = |by: f64| {
                            let old = parameters.values[index];
                            parameters.values[index] = old + by;
                            let loss = loss(&network, &parameters, &x, &labels);
                            parameters.values[index] = old;
                            loss
                        };
                        let h = 1e-5;
                        expected.push((index, (shifted(h) - shifted(-h)) / (2.0 * h)));
                    }
                    assert!(expected.iter().any(|(_, gradient)| gradient.abs() > 1e-2));
                }
                for quantity in [Quantity::Loss, Quantity::Logit(1)] {
                    let gradients = before.input_gradients(&examples, quantity);
                    let some = gradients_of_features(&network, &parameters, &x, &labels, quantity);
                    for (index, want) in some {
                        let have = f64::from(gradients[index]);
                        assert!(
                            (have - want).abs() < 1e-6 + 1e-5 * want.abs(),
                            "{what}, feature {index:?}: {have} instead of {want}"
                        );
                    }
                }
                check_convolution_gradients(&before, &x, &labels, &examples, &what);
                let moved = Parameters::of(&after);
                for &(index, want) in &expected {
                    let have = parameters.values[index] - moved.values[index];
                    assert!(
                        (have - want).abs() < 1e-6 + 1e-5 * want.abs(),
                        "{what}, parameter {index}: {have} instead of {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_image_of_a_batch_counts() {
    // the gradient of a batch is the mean of those of its images
    let network = network(
        (8, 8, 1),
        &[
            convolution(5, 3, Padding::Same, Some(Pool::Average)),
            convolution(4, 3, Padding::Valid, Some(Pool::Max)),
        ],
        &[6],
        Activation::Relu,
    );
    let (_, _, examples) = data(&network, 9);
    let change = |rows: &[u32]| {
        let [before, after] = [0, 1].map(|epochs| {
            let trained = train(&network, &training(epochs, 20), &examples, rows, &[], 1).unwrap();
            Parameters::of(&trained).values
        });
        let change = before.iter().zip(after).map(|(old, new)| old - new);
        change.collect::<Vec<f64>>()
    };
    let together = change(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
    let mut sum = vec![0.0; together.len()];
    for row in [0, 1, 2, 3, 4, 5, 6, 7, 8, 8] {
        for (sum, x) in sum.iter_mut().zip(change(&[row])) {
            *sum += x / 10.0;
        }
    }
    for (a, b) in together.iter().zip(&sum) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn convolutions_learn_directions() {
    // bars across or down, anywhere
    let mut stream = Stream::new(2, "bars", 0);
    let mut features = Array2::<f32>::zeros((400, 144));
    let mut labels = Vec::new();
    for mut image in features.rows_mut() {
        let down = stream.below(2);
        let (a, b) = (stream.below(9), stream.below(12));
        for i in 0..4 {
            let (y, x) = if down == 1 { (a + i, b) } else { (b, a + i) };
            image[y * 12 + x] = 1.0;
        }
        for x in &mut image {
            *x += 0.1 * stream.normal() as f32;
        }
        labels.push(down as u32);
    }
    let examples = Examples::new(features.view(), &labels, 2).unwrap();
    let convolutions = [convolution(8, 3, Padding::Same, Some(Pool::Max)); 3];
    let network = Network {
        classes: 2,
        ..network((12, 12, 1), &convolutions, &[], Activation::Relu)
    };
    let training = Training {
        learning_rate: 5e-3,
        optimiser: Optimiser::adam(),
        ..training(20, 32)
    };
    let rows: Vec<u32> = (0..300).collect();
    let trained = train(&network, &training, &examples, &rows, &[], 3).unwrap();
    let logits = trained.logits(&examples);
    let right = (300..400).filter(|&row| {
        let second = logits[[row, 1]] > logits[[row, 0]];
        u32::from(second) == labels[row]
    });
    let right = right.count();
    assert!(right >= 95, "{right} of 100");
}

#[test]
fn initial_filters_are_uniform_in_one_over_the_root_of_their_inputs() {
    let network = network(
        (9, 9, 3),
        &[
            convolution(40, 3, Padding::Valid, None),
            convolution(30, 5, Padding::Valid, None),
        ],
        &[],
        Activation::Relu,
    );
    let (_, _, examples) = data(&network, 2);
    let trained = train(&network, &training(0, 1), &examples, &[0], &[], 7).unwrap();
    for (filters, inputs) in trained.filters().iter().zip([27.0f32, 1000.0]) {
        let bound = 1.0 / inputs.sqrt();
        let all: Vec<f32> = filters
            .weight
            .iter()
            .chain(&filters.bias)
            .copied()
            .collect();
        assert!(all.iter().all(|x| x.abs() <= bound));
        let count = all.len() as f32;
        let variance = all.iter().map(|x| x * x).sum::<f32>() / count;
        // six standard errors of a uniform distribution's second moment
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 6.0 * (0.8 / count).sqrt());
    }
    // the dense layer behind them has 3 · 3 · 30 inputs, whatever lies in memory
    assert_eq!(trained.layers()[0].weight.dim(), (3, 270));
    let bound = 1.0 / 270f32.sqrt();
    assert!(trained.layers()[0].weight.iter().all(|x| x.abs() <= bound));
}

#[test]
fn training_can_start_where_another_ended() {
    let convolutions = [convolution(5, 3, Padding::Same, Some(Pool::Max))];
    let network = network((6, 6, 1), &convolutions, &[4], Activation::Tanh);
    let (_, _, examples) = data(&network, 8);
    let rows: Vec<u32> = (0..8).collect();
    let (one, two) = (training(1, 8), training(2, 8));
    let half = train(&network, &one, &examples, &rows, &[], 1).unwrap();
    let rest = Trainer::new(&network, &one)
        .unwrap()
        .initial(half.layers())
        .unwrap()
        .initial_filters(half.filters())
        .unwrap()
        .train(&examples, &rows, &[], 2)
        .unwrap();
    let whole = train(&network, &two, &examples, &rows, &[], 1).unwrap();
    // each in its own order of the rows, which changes only the rounding
    let (a, b) = (Parameters::of(&rest).values, Parameters::of(&whole).values);
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    let error = Trainer::new(&network, &one)
        .unwrap()
        .initial_filters(&[])
        .unwrap_err();
    assert!(matches!(error, Error::Weights(_)), "{error}");
}

#[test]
fn impossible_images_are_refused() {
    let training = training(1, 1);
    let refuse = |network: &Network, part: &str| {
        let error = Trainer::new(network, &training).unwrap_err();
        assert!(matches!(error, Error::Network(_)));
        assert!(error.to_string().contains(part), "{error}");
    };
    let valid = convolution(2, 3, Padding::Valid, Some(Pool::Max));
    let network =
        |convolutions: &[Convolution]| network((8, 8, 1), convolutions, &[], Activation::Relu);
    let fits = network(&[valid]);
    assert!(Trainer::new(&fits, &training).is_ok());
    let other = Network {
        inputs: 63,
        ..fits.clone()
    };
    refuse(&other, "63 inputs");
    refuse(&network(&[]), "at least one convolution");
    refuse(&network(&[valid, valid]), "convolution 2 leaves nothing");
    refuse(
        &network(&[Convolution {
            channels: 0,
            ..valid
        }]),
        "0 channels",
    );
    refuse(&network(&[Convolution { size: 0, ..valid }]), "size 0");
    let even = Convolution {
        size: 4,
        padding: Padding::Same,
        ..valid
    };
    refuse(&network(&[even]), "odd size");
    let skips = |from, to| {
        let mut network = network(&[valid, Convolution { size: 1, ..valid }]);
        network.image.as_mut().unwrap().skips = vec![Skip { from, to }];
        network
    };
    assert!(Trainer::new(&skips(1, 2), &training).is_ok());
    refuse(&skips(1, 1), "must lead to a later one");
    refuse(&skips(2, 1), "from convolution 2 to convolution 1");
    refuse(&skips(1, 3), "convolution 3, but there are 2");
    refuse(
        &skips(0, 1),
        "from 8 × 8 pixels with 1 channels (the image) to 6 × 6 with 2",
    );
    refuse(&skips(0, 2), "to 3 × 3 with 2 (the sums of convolution 2");
}

#[test]
fn augmented_images_are_those_of_their_definition() {
    let convolutions = [
        convolution(5, 3, Padding::Same, Some(Pool::Average)),
        convolution(4, 3, Padding::Valid, None),
    ];
    let network = network((7, 9, 2), &convolutions, &[6], Activation::Tanh);
    let (x, labels, examples) = data(&network, 30);
    let rows: Vec<u32> = (0..25).collect();
    let validation: Vec<u32> = (20..30).collect();
    let with = |augmentation, batch_size| Training {
        augmentation,
        learning_rate: 0.1,
        ..training(1, batch_size)
    };
    let privacy = Privacy {
        clip: 0.5,
        noise_multiplier: 0.1,
    };
    for (shift, flip) in [(0, false), (2, false), (0, true), (6, true)] {
        // rows are used in a new order; with privacy in their own, here all in one step
        for private in [false, true] {
            let mut order = rows.clone();
            if !private {
                Stream::new(9, "order", 0).shuffle(&mut order);
            }
            let mut stream = Stream::new(9, "augmentation", 0);
            let mut moved = x.clone();
            for &row in &order {
                let mut draw = || {
                    let distance = if shift > 0 {
                        stream.below(2 * shift + 1)
                    } else {
                        0
                    };
                    distance.cast_signed() - shift.cast_signed()
                };
                let (down, right) = (draw(), draw());
                let mirrored = flip && stream.below(2) == 1;
                for (y, x_, channel) in
                    (0..7).flat_map(|y| (0..9).flat_map(move |x| [(y, x, 0), (y, x, 1)]))
                {
                    let column = if mirrored { 8 - x_ } else { x_ };
                    let (from_y, from_x) = (y - down, column - right);
                    let inside = (0..7).contains(&from_y) && (0..9).contains(&from_x);
                    let place = |y: isize, x: isize| (y * 9 + x) as usize * 2 + channel;
                    moved[[row as usize, place(y, x_)]] = if inside {
                        x[[row as usize, place(from_y, from_x)]]
                    } else {
                        0.0
                    };
                }
            }
            let moved = Examples::new(moved.view(), &labels, 3).unwrap();
            let batch_size = if private { 25 } else { 4 };
            for kernel in Kernel::available() {
                let run = |augmentation, examples: &Examples| {
                    let training = with(augmentation, batch_size);
                    let mut trainer = Trainer::new(&network, &training).unwrap().kernel(kernel);
                    if private {
                        trainer = trainer.private(privacy).unwrap();
                    }
                    trainer.train(examples, &rows, &validation, 9).unwrap()
                };
                let augmented = run(Some(Augmentation { shift, flip }), &examples);
                let by_hand = run(None, &moved);
                assert_eq!(augmented.filters(), by_hand.filters());
                assert_eq!(augmented.layers(), by_hand.layers());
                assert_eq!(
                    augmented.history()[0].training.to_bits(),
                    by_hand.history()[0].training.to_bits()
                );
                // what is not training sees the images as they are
                let logits = augmented.logits(&examples).mapv(f64::from);
                let loss = |row: u32| {
                    let logits = logits.row(row as usize).to_vec();
                    quantity_of(Quantity::Loss, &logits, labels[row as usize])
                };
                let want = validation.iter().map(|row| loss(*row)).sum::<f64>() / 10.0;
                let have = augmented.history()[0].validation.unwrap();
                assert!((have - want).abs() < 1e-6, "{have} {want}");
            }
        }
    }
}

#[test]
fn images_move_anew_in_every_epoch_and_the_same_for_one_seed() {
    let convolutions = [convolution(5, 3, Padding::Same, None)];
    let network = network((5, 5, 1), &convolutions, &[], Activation::Relu);
    let (_, _, examples) = data(&network, 20);
    let rows: Vec<u32> = (0..20).collect();
    let run = |epochs, seed| {
        let training = Training {
            augmentation: Some(Augmentation {
                shift: 1,
                flip: true,
            }),
            // no learning to speak of: the loss of an epoch is that of its images
            learning_rate: 1e-12,
            ..training(epochs, 20)
        };
        train(&network, &training, &examples, &rows, &[], seed).unwrap()
    };
    let (one, again, other) = (run(3, 1), run(3, 1), run(3, 2));
    assert_eq!(one.history(), again.history());
    assert_eq!(one.layers(), again.layers());
    assert_ne!(one.history(), other.history());
    let losses: Vec<f64> = one.history().iter().map(|epoch| epoch.training).collect();
    for (i, a) in losses.iter().enumerate() {
        for b in &losses[..i] {
            assert!((a - b).abs() > 1e-5, "{losses:?}");
        }
    }
}

#[test]
fn impossible_augmentation_is_refused() {
    let image = network(
        (5, 9, 1),
        &[convolution(2, 3, Padding::Same, None)],
        &[],
        Activation::Relu,
    );
    let dense = Network {
        image: None,
        ..image.clone()
    };
    let refuse = |network: &Network, shift, part: &str| {
        let training = Training {
            augmentation: Some(Augmentation { shift, flip: true }),
            ..training(1, 1)
        };
        let error = Trainer::new(network, &training).unwrap_err();
        assert!(matches!(error, Error::Training(_)));
        assert!(error.to_string().contains(part), "{error}");
    };
    refuse(&dense, 1, "the network has no image");
    refuse(&image, 5, "shift is 5");
}

#[test]
#[should_panic(expected = "there is no convolution 2")]
fn there_are_no_gradients_of_a_convolution_that_is_not() {
    let convolutions = [convolution(2, 3, Padding::Same, None)];
    let network = network((4, 4, 1), &convolutions, &[], Activation::Relu);
    let (_, _, examples) = data(&network, 2);
    let trained = train(&network, &training(0, 1), &examples, &[0], &[], 7).unwrap();
    trained.convolution_gradients(&examples, 2, Quantity::Loss, |_, _, _| ());
}

#[test]
#[should_panic(expected = "there is no class 3")]
fn there_are_no_gradients_of_a_logit_that_is_not() {
    let convolutions = [convolution(2, 3, Padding::Same, None)];
    let network = network((4, 4, 1), &convolutions, &[], Activation::Relu);
    let (_, _, examples) = data(&network, 2);
    let trained = train(&network, &training(0, 1), &examples, &[0], &[], 7).unwrap();
    let _ = trained.input_gradients(&examples, Quantity::Logit(3));
}
