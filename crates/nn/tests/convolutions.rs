//! Convolutional networks: outputs and gradients against a loss computed in f64 from its
//! definition, and how their training behaves.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_nn::{
    Activation, Convolution, Dense, Error, Examples, Filters, Image, Kernel, Network, Optimiser,
    Padding, Pool, Schedule, Trained, Trainer, Training, train,
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

/// Logits of one record by definition: channels × rows × columns, as PyTorch has it.
fn logits(network: &Network, parameters: &Parameters, record: &[f64]) -> Vec<f64> {
    let image = network.image.as_ref().unwrap();
    let mut values = Array3::from_shape_fn(
        (image.channels, image.height, image.width),
        |(channel, row, column)| record[(row * image.width + column) * image.channels + channel],
    );
    for (convolution, (start, [outputs, inputs, size], biases)) in
        image.convolutions.iter().zip(&parameters.filters)
    {
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
        let sums = Array3::from_shape_fn(shape, |(output, row, column)| {
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
            activate(network.activation, sum)
        });
        values = match convolution.pool {
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
    }
    let mut values: Vec<f64> = values.iter().copied().collect();
    for (i, (start, [outputs, inputs], biases)) in parameters.layers.iter().enumerate() {
        assert_eq!(values.len(), *inputs);
        values = (0..*outputs)
            .map(|output| {
                let weights = &parameters.values[start + output * inputs..][..*inputs];
                let sum: f64 = weights.iter().zip(&values).map(|(w, x)| w * x).sum();
                let sum = sum + parameters.values[biases + output];
                if i + 1 < parameters.layers.len() {
                    activate(network.activation, sum)
                } else {
                    sum
                }
            })
            .collect();
    }
    values
}

fn loss(network: &Network, parameters: &Parameters, x: &Array2<f64>, labels: &[u32]) -> f64 {
    let mut total = 0.0;
    for (record, &label) in x.rows().into_iter().zip(labels) {
        let logits = logits(network, parameters, record.as_slice().unwrap());
        total += logits.iter().map(|x| x.exp()).sum::<f64>().ln() - logits[label as usize];
    }
    total / labels.len() as f64
}

/// Central differences of each record's loss with respect to some features.
fn gradients_of_features(
    network: &Network,
    parameters: &Parameters,
    x: &Array2<f64>,
    labels: &[u32],
) -> Vec<([usize; 2], f64)> {
    let h = 1e-5;
    let mut gradients = Vec::new();
    for (row, record) in x.rows().into_iter().enumerate() {
        for feature in (0..network.inputs).step_by((network.inputs / 40).max(1) | 1) {
            let shifted = |by: f64| {
                let mut record = record.to_owned().insert_axis(ndarray::Axis(0));
                record[[0, feature]] += by;
                loss(network, parameters, &record, &labels[row..=row])
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
        }),
        hidden: hidden.to_vec(),
        classes: 3,
        activation,
        dropout: 0.0,
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
    for (shape, convolutions, hidden) in shapes() {
        for activation in [Activation::Relu, Activation::Tanh] {
            let network = network(shape, &convolutions, &hidden, activation);
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
                let gradients = before.input_gradients(&examples);
                for (index, want) in gradients_of_features(&network, &parameters, &x, &labels) {
                    let have = f64::from(gradients[index]);
                    assert!(
                        (have - want).abs() < 1e-6 + 1e-5 * want.abs(),
                        "{what}, feature {index:?}: {have} instead of {want}"
                    );
                }
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
}
