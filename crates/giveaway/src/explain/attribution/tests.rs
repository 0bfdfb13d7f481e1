use std::io;

use giveaway_nn::{Network, Optimiser, Schedule, Training};
use giveaway_stats::random::Stream;
use ndarray::{Array1, Array3, Axis, Slice};
use serde::Deserialize;

use super::*;
use crate::dataset::{
    Dataset, Encoding, EncodingOptions, FeatureInfo, FeatureKind, ImageShape, Table, TableOptions,
};
use crate::trainer::{NetworkTrainer, Sink, Trainer};

const VALUES: &str = include_str!("../../../../../conformance/attribution/values.json");

macro_rules! networks {
    ($($name:literal),+) => {
        [$(include_bytes!(concat!(
            "../../../../../conformance/attribution/", $name, ".safetensors"
        )).as_slice()),+]
    };
}

#[derive(Deserialize)]
struct Values {
    dense: Integrated,
    softmax: Integrated,
    images: Images,
}

#[derive(Deserialize)]
struct Integrated {
    network: Network,
    label: u32,
    record: Vec<f32>,
    baseline: Vec<f32>,
    gap: f64,
    baseline_gap: f64,
    attributions: Vec<f64>,
}

#[derive(Deserialize)]
struct Images {
    network: Network,
    inputs: Vec<Vec<f32>>,
    labels: Vec<Maps>,
}

/// Of one class: two models × inputs × rows × columns, and inputs × height × width.
#[derive(Deserialize)]
struct Maps {
    raw: Vec<f64>,
    shown: Vec<f64>,
}

fn training(epochs: usize) -> Training {
    Training {
        epochs,
        batch_size: 32,
        learning_rate: 0.01,
        optimiser: Optimiser::adam(),
        l2: 0.0,
        label_smoothing: 0.0,
        schedule: Schedule::Constant,
        early_stopping: None,
        augmentation: None,
    }
}

/// Columns of one feature each.
fn plain(features: usize) -> Columns {
    grouped(&(0..features).collect::<Vec<_>>())
}

fn grouped(of_feature: &[usize]) -> Columns {
    Columns::new(&schema(of_feature))
}

fn schema(of_feature: &[usize]) -> Schema {
    let info = |(feature, column): (usize, &usize)| FeatureInfo {
        name: format!("feature {feature}"),
        column: format!("column {column}"),
        kind: FeatureKind::Numeric,
    };
    Schema {
        features: of_feature.iter().enumerate().map(info).collect(),
        ..Schema::default()
    }
}

/// A trainer that restores networks of this kind.
fn restorer(network: &Network) -> NetworkTrainer {
    let labels: Vec<u32> = (0..network.classes as u32).collect();
    let dataset = Dataset {
        features: Array2::zeros((labels.len(), network.inputs)),
        ids: labels.iter().map(u32::to_string).collect(),
        schema: Schema {
            classes: labels.iter().map(u32::to_string).collect(),
            ..schema(&(0..network.inputs).collect::<Vec<_>>())
        },
        labels,
    };
    NetworkTrainer::new(
        network.clone(),
        training(1),
        &dataset,
        giveaway_nn::kernel(),
    )
    .unwrap()
}

fn references<'a>(models: &'a [Box<dyn Model + 'a>]) -> Vec<&'a dyn Model> {
    models.iter().map(|model| &**model as &dyn Model).collect()
}

#[track_caller]
fn assert_near(have: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(have.len(), want.len());
    for (i, (have, want)) in have.iter().zip(want).enumerate() {
        assert!((have - want).abs() <= tolerance, "{i}: {have} for {want}");
    }
}

/// Compares with a fine sum in double precision by PyTorch, at the fewest and the most points.
fn check_pytorch(case: &Integrated, files: &[&[u8]; 4], tolerances: [f64; 2]) {
    let trainer = restorer(&case.network);
    let models: Vec<_> = files
        .iter()
        .map(|file| trainer.restore(file).unwrap())
        .collect();
    let models = references(&models);
    let (out, within) = models.split_at(2);
    let models = Models { out, within };
    let (features, baseline) = (
        Array1::from_vec(case.record.clone()),
        Array1::from_vec(case.baseline.clone()),
    );
    let record = Record {
        number: 0,
        label: case.label,
        features: features.view(),
        baseline: baseline.view(),
    };
    let columns = plain(features.len());
    let have = attribute(&record, &columns, &models, Method::Automatic, 1).unwrap();
    assert!(have.is_complete(), "{have:?}");
    assert_near(
        &[have.gap, have.baseline_gap],
        &[case.gap, case.baseline_gap],
        2e-6,
    );
    let problem = Problem::new(&record, &columns, &models).unwrap();
    for (steps, tolerance) in [32, 1024].into_iter().zip(tolerances) {
        let values = integrated_gradients::integral(&problem, steps)
            .unwrap()
            .unwrap();
        assert_near(&values, &case.attributions, tolerance);
    }
    // Two features of one column: their sum.
    let pairs: Vec<usize> = (0..features.len()).map(|feature| feature / 2).collect();
    let columns = grouped(&pairs);
    let problem = Problem::new(&record, &columns, &models).unwrap();
    let values = integrated_gradients::integral(&problem, 1024)
        .unwrap()
        .unwrap();
    let sums: Vec<f64> = case
        .attributions
        .chunks(2)
        .map(|pair| pair.iter().sum())
        .collect();
    assert_near(&values, &sums, 2.0 * tolerances[1]);
}

#[test]
fn integrated_gradients_are_those_of_pytorch() {
    let values: Values = serde_json::from_str(VALUES).unwrap();
    let files = networks!("dense-out-0", "dense-out-1", "dense-in-0", "dense-in-1");
    // The path crosses edges of rectified units: the error falls with the number of points.
    check_pytorch(&values.dense, &files, [0.05, 0.002]);
    let files = networks!(
        "softmax-out-0",
        "softmax-out-1",
        "softmax-in-0",
        "softmax-in-1"
    );
    check_pytorch(&values.softmax, &files, [1e-6, 1e-6]);
}

#[test]
fn class_activation_maps_are_those_of_pytorch() {
    let values: Values = serde_json::from_str(VALUES).unwrap();
    let images = values.images;
    let trainer = restorer(&images.network);
    let models: Vec<_> = networks!("images-0", "images-1")
        .iter()
        .map(|file| trainer.restore(file).unwrap())
        .collect();
    let models = references(&models);
    let inputs = Array2::from_shape_fn((images.inputs.len(), 9 * 11 * 2), |(i, j)| {
        images.inputs[i][j]
    });
    let shape = ImageShape {
        height: 9,
        width: 11,
        channels: 2,
        bytes: false,
    };
    let mut empty = 0;
    for (label, want) in images.labels.iter().enumerate() {
        let raw: Vec<f64> = models
            .iter()
            .flat_map(|model| {
                let maps = model.class_activation(inputs.view(), label as u32);
                let maps = maps.unwrap().unwrap();
                assert_eq!(maps.dim(), (4, 3, 4));
                empty += maps
                    .outer_iter()
                    .filter(|map| map.iter().all(|&x| x == 0.0))
                    .count();
                maps.into_iter().map(f64::from)
            })
            .collect();
        assert_near(&raw, &want.raw, 2e-6);
        let shown = grad_cam::class_activation_maps(&models, inputs.view(), label as u32, shape);
        let shown = shown.unwrap().unwrap();
        assert_eq!(shown.dim(), (4, 9, 11));
        let shown: Vec<f64> = shown.into_iter().map(f64::from).collect();
        assert_near(&shown, &want.shown, 1e-5);
        assert!(shown.iter().all(|x| (0.0..=1.0).contains(x)));
    }
    assert!(empty > 0, "no map that is 0 everywhere was compared");
}

#[test]
fn without_convolutions_or_models_there_are_no_maps() {
    let network = Network {
        inputs: 4,
        classes: 2,
        ..Network::default()
    };
    let trainer = restorer(&network);
    let model = trainer.train(&[0, 1], &[], 1).unwrap();
    let shape = ImageShape {
        height: 2,
        width: 2,
        channels: 1,
        bytes: false,
    };
    let inputs = Array2::zeros((1, 4));
    let maps = grad_cam::class_activation_maps(&[&*model], inputs.view(), 0, shape).unwrap();
    assert_eq!(maps, None);
    grad_cam::class_activation_maps(&[], inputs.view(), 0, shape).unwrap_err();
}

/// Reference models of a data set: those of even number trained without each of the records
/// `explained`, the others with all of them.
fn check_completeness(dataset: &Dataset, network: Network, explained: &[u32]) -> Vec<Attribution> {
    let trainer =
        NetworkTrainer::new(network, training(8), dataset, giveaway_nn::kernel()).unwrap();
    let (mut out, mut within) = (Vec::new(), Vec::new());
    for seed in 0..6u64 {
        let mut stream = Stream::new(seed, "rows of a test", 0);
        let mut rows: Vec<u32> = (0..dataset.len() as u32).collect();
        stream.shuffle(&mut rows);
        rows.truncate(dataset.len() / 2);
        rows.retain(|row| !explained.contains(row));
        let models = if seed % 2 == 0 { &mut out } else { &mut within };
        if seed % 2 == 1 {
            rows.extend(explained);
        }
        models.push(trainer.train(&rows, &[], seed).unwrap());
    }
    let (out, within) = (references(&out), references(&within));
    let models = Models {
        out: &out,
        within: &within,
    };
    let columns = Columns::new(&dataset.schema);
    let baselines = class_means(
        dataset.features.view(),
        &dataset.labels,
        dataset.class_count(),
    );
    explained
        .iter()
        .map(|&number| {
            let label = dataset.labels[number as usize];
            let record = Record {
                number,
                label,
                features: dataset.features.row(number as usize),
                baseline: baselines.row(label as usize),
            };
            let have = attribute(&record, &columns, &models, Method::Automatic, 1).unwrap();
            assert!(
                matches!(have.evaluation, Evaluation::IntegratedGradients { .. }),
                "{have:?}"
            );
            assert_eq!(have.columns.len(), columns.len());
            assert!(have.standard_errors.is_none());
            let again = attribute(&record, &columns, &models, Method::Automatic, 2).unwrap();
            assert_eq!(have, again);
            let sum: f64 = have.columns.iter().sum();
            assert!((sum - have.residual - (have.gap - have.baseline_gap)).abs() < 1e-12);
            let losses = |models: &[&dyn Model]| -> f64 {
                let inputs = record.features.insert_axis(Axis(0));
                let loss = |model: &&dyn Model| {
                    let logits = model.answer(inputs).unwrap().mapv(f64::from);
                    logits.mapv(f64::exp).sum().ln() - logits[[0, label as usize]]
                };
                models.iter().map(loss).sum::<f64>() / models.len() as f64
            };
            assert!((have.gap - (losses(&out) - losses(&within))).abs() < 1e-9);
            have
        })
        .collect()
}

fn encoded(table: &Table) -> Dataset {
    let rows: Vec<u32> = (0..table.len() as u32).collect();
    let encoding = Encoding::learn(table, &rows, &EncodingOptions::default()).unwrap();
    encoding.encode(table).unwrap()
}

#[track_caller]
fn assert_complete(attributions: &[Attribution]) {
    // else everything would be within the hundredth of 0.01 nats
    let large = |a: &Attribution| (a.gap - a.baseline_gap).abs() > 0.05;
    assert!(attributions.iter().any(large), "no difference to share out");
    for attribution in attributions {
        assert!(attribution.is_complete(), "{attribution:?}");
    }
}

fn first(dataset: &Dataset, records: usize) -> Dataset {
    Dataset {
        features: dataset
            .features
            .slice_axis(Axis(0), Slice::from(..records))
            .to_owned(),
        labels: dataset.labels[..records].to_vec(),
        ids: dataset.ids[..records].to_vec(),
        schema: dataset.schema.clone(),
    }
}

#[test]
fn values_are_complete_on_breast_cancer() {
    let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let dataset = encoded(&table);
    let network = Network {
        inputs: dataset.features.ncols(),
        hidden: vec![32],
        classes: 2,
        ..Network::default()
    };
    let explained: Vec<u32> = (0..20).map(|i| 28 * i).collect();
    assert_complete(&check_completeness(&dataset, network, &explained));
}

#[test]
fn values_are_complete_on_adult() {
    let table = Table::shipped("adult", &TableOptions::default()).unwrap();
    let dataset = first(&encoded(&table), 1500);
    let network = Network {
        inputs: dataset.features.ncols(),
        hidden: vec![64],
        classes: 2,
        ..Network::default()
    };
    let explained: Vec<u32> = (0..20).map(|i| 70 * i).collect();
    let attributions = check_completeness(&dataset, network, &explained);
    assert_complete(&attributions);
    // one value for each column of the file, not for each encoded feature
    assert!(attributions[0].columns.len() < 15);
}

/// Images with a bright square where the class says, in noise.
fn images(records: usize, noise: f64) -> Dataset {
    const SIDE: usize = 10;
    let mut stream = Stream::new(5, "images", 0);
    let labels: Vec<u32> = (0..records as u32).map(|i| i % 2).collect();
    let features = Array2::from_shape_fn((records, SIDE * SIDE), |(i, pixel)| {
        let (row, column) = (pixel / SIDE, pixel % SIDE);
        let corner = if labels[i] == 0 { 0..4 } else { 6..10 };
        let bright = corner.contains(&row) && corner.contains(&column);
        (f64::from(u8::from(bright)) + noise * stream.normal()) as f32
    });
    let shape = ImageShape {
        height: SIDE,
        width: SIDE,
        channels: 1,
        bytes: false,
    };
    Dataset {
        features,
        ids: labels.iter().map(u32::to_string).collect(),
        labels,
        schema: Schema {
            image: Some(shape),
            classes: vec!["top left".to_owned(), "bottom right".to_owned()],
            ..schema(&(0..SIDE * SIDE).collect::<Vec<_>>())
        },
    }
}

fn convolutional() -> Network {
    serde_json::from_value(serde_json::json!({
        "inputs": 100,
        "image": {
            "height": 10,
            "width": 10,
            "convolutions": [
                {"channels": 4, "size": 3, "padding": "same", "pool": "max"},
                {"channels": 4, "size": 3, "padding": "same"},
            ],
        },
        "hidden": [8],
        "classes": 2,
    }))
    .unwrap()
}

#[test]
fn values_are_complete_on_images() {
    let explained: Vec<u32> = (0..10).map(|i| 17 * i).collect();
    // enough noise that networks disagree on a record that they did not see
    let dataset = images(200, 2.0);
    assert_complete(&check_completeness(&dataset, convolutional(), &explained));
}

#[test]
fn a_network_looks_where_the_class_is() {
    let dataset = images(300, 0.5);
    let trainer = NetworkTrainer::new(
        convolutional(),
        training(10),
        &dataset,
        giveaway_nn::kernel(),
    )
    .unwrap();
    let rows: Vec<u32> = (0..200).collect();
    let models: Vec<_> = (0..3)
        .map(|seed| trainer.train(&rows, &[], seed).unwrap())
        .collect();
    let shape = dataset.schema.image.unwrap();
    let inputs = dataset.features.slice_axis(Axis(0), Slice::from(200..));
    let maps: Array3<f32> = grad_cam::class_activation_maps(&references(&models), inputs, 1, shape)
        .unwrap()
        .unwrap();
    let mean = |map: &ArrayView2<f32>, side: std::ops::Range<usize>| {
        let square = side
            .clone()
            .flat_map(|row| side.clone().map(move |column| (row, column)));
        square.map(|at| map[at]).sum::<f32>() / 16.0
    };
    let (mut inside, mut outside) = (0.0, 0.0);
    for (map, _) in maps.outer_iter().zip(200u32..).filter(|(_, i)| i % 2 == 1) {
        inside += mean(&map, 6..10);
        outside += mean(&map, 0..4);
    }
    assert!(inside > 2.0 * outside, "{inside} and {outside}");
}

/// A model that is any function from features to logits, and has no gradients.
struct Asked<F>(F);

impl<F: Fn(&[f32]) -> Vec<f32> + Send + Sync> Model for Asked<F> {
    fn records(&self) -> usize {
        0
    }

    fn classes(&self) -> usize {
        2
    }

    fn each_logits(&self, _: Sink) -> io::Result<()> {
        Ok(())
    }

    fn features(&self) -> usize {
        0
    }

    fn each_features(&self, _: Sink) -> io::Result<()> {
        Ok(())
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        let logits: Vec<f32> = inputs
            .outer_iter()
            .flat_map(|x| (self.0)(&x.to_vec()))
            .collect();
        Ok(Array2::from_shape_vec((inputs.nrows(), 2), logits).unwrap())
    }

    fn weights(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

/// A function with interactions of two and three features.
fn tangled(x: &[f32]) -> Vec<f32> {
    let sum: f32 = x
        .iter()
        .zip([0.5, -1.0, 0.8, 0.3].iter().cycle())
        .map(|(a, b)| a * b)
        .sum();
    let products: f32 = x.windows(3).map(|w| w[0] * w[1] - w[2] * w[1] * w[0]).sum();
    vec![0.0, sum + 0.5 * products]
}

fn bent(x: &[f32]) -> Vec<f32> {
    vec![
        x.iter().copied().fold(0.0, f32::max),
        x.iter().sum::<f32>().tanh(),
    ]
}

fn numbers(count: usize, seed: u64) -> Array1<f32> {
    let mut stream = Stream::new(seed, "numbers", 0);
    Array1::from_shape_fn(count, |_| stream.normal() as f32)
}

/// The mean over all orders of what each column adds, order by order.
fn shapley_by_definition(problem: &Problem) -> Vec<f64> {
    let columns = problem.columns.len();
    let mut orders = vec![Vec::new()];
    for _ in 0..columns {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..columns)
                    .filter(|next| !order.contains(next))
                    .map(|next| [order.clone(), vec![next]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    let mut values = vec![0.0; columns];
    for order in &orders {
        let mut input = problem.record.baseline.to_owned();
        for &column in order {
            let gap =
                |input: &Array1<f32>| problem.gaps(input.view().insert_axis(Axis(0))).unwrap()[0];
            let before = gap(&input);
            for (feature, &of) in problem.columns.of_feature().iter().enumerate() {
                if of == column {
                    input[feature] = problem.record.features[feature];
                }
            }
            values[column] += (gap(&input) - before) / orders.len() as f64;
        }
    }
    values
}

#[test]
fn exact_values_are_those_of_the_definition() {
    let (features, mut baseline) = (numbers(8, 1), numbers(8, 2));
    // column 2 agrees, column 3 in one of its features
    baseline[3] = features[3];
    baseline[4] = features[4];
    let columns = grouped(&[0, 0, 1, 2, 3, 3, 4, 5]);
    let (out, within) = (Asked(tangled), Asked(bent));
    let models = Models {
        out: &[&out],
        within: &[&within, &out],
    };
    let record = Record {
        number: 3,
        label: 1,
        features: features.view(),
        baseline: baseline.view(),
    };
    let have = attribute(&record, &columns, &models, Method::Automatic, 9).unwrap();
    assert_eq!(have.evaluation, Evaluation::Exact { subsets: 32 });
    let problem = Problem::new(&record, &columns, &models).unwrap();
    assert_near(&have.columns, &shapley_by_definition(&problem), 1e-12);
    assert!(have.columns[2].to_bits() == 0, "{have:?}");
    assert!(have.residual.abs() < 1e-12);
    assert!(have.columns.iter().filter(|x| x.abs() > 0.01).count() >= 4);
}

#[test]
fn samples_are_as_far_from_the_exact_values_as_their_errors_say() {
    let (features, baseline) = (numbers(9, 5), numbers(9, 6));
    let columns = plain(9);
    let (out, within) = (Asked(tangled), Asked(bent));
    let models = Models {
        out: &[&out],
        within: &[&within],
    };
    let record = |number| Record {
        number,
        label: 1,
        features: features.view(),
        baseline: baseline.view(),
    };
    let one = record(0);
    let problem = Problem::new(&one, &columns, &models).unwrap();
    let ends = problem.ends().unwrap();
    let players = sampling::players(&problem);
    let exact = sampling::exact(&problem, ends, &players).unwrap();
    let mut squares = vec![0.0; 9];
    let seeds = 200;
    for seed in 0..seeds {
        let have = sampling::estimate(&problem, ends, &players, 60, seed).unwrap();
        assert!(have.residual.abs() < 1e-11, "{have:?}");
        let errors = have.standard_errors.unwrap();
        for (i, square) in squares.iter_mut().enumerate() {
            *square += ((have.columns[i] - exact.columns[i]) / errors[i]).powi(2);
        }
    }
    // The mean of a squared t with 29 degrees of freedom is 29/27; its standard error over 200
    // seeds is .12.
    for square in squares {
        let mean = square / seeds as f64;
        assert!((0.65..1.6).contains(&mean), "{mean}");
    }

    let method = Method::Sampling { permutations: 40 };
    let ask = |number, seed| attribute(&record(number), &columns, &models, method, seed).unwrap();
    let have = ask(4, 7);
    assert_eq!(
        have.evaluation,
        Evaluation::Permutations { permutations: 40 }
    );
    assert_eq!(have, ask(4, 7));
    assert_ne!(have.columns, ask(5, 7).columns);
    assert_ne!(have.columns, ask(4, 8).columns);
}

#[test]
fn equal_columns_get_equal_values_and_idle_ones_none() {
    // Features 0 and 1 count alike and are alike; 2 counts, 3 does not.
    let features = Array1::from_vec(vec![1.0f32, 1.0, -0.7, 2.0]);
    let baseline = Array1::from_vec(vec![0.2f32, 0.2, 0.1, -1.0]);
    let record = Record {
        number: 0,
        label: 0,
        features: features.view(),
        baseline: baseline.view(),
    };
    let columns = plain(4);
    let asked =
        |slope: f32| Asked(move |x: &[f32]| vec![slope * (x[0] + x[1]) - x[2] * x[0] * x[1], x[2]]);
    let (out, within) = (asked(0.5), asked(2.0));
    let models = Models {
        out: &[&out],
        within: &[&within],
    };
    let shapley = attribute(&record, &columns, &models, Method::Automatic, 1).unwrap();

    let network = Network {
        inputs: 4,
        classes: 2,
        ..Network::default()
    };
    let weights = |out: bool| {
        let slope = if out { 0.5f32 } else { 2.0 };
        [slope, slope, -0.3, 0.0, 0.0, 0.0, 0.9, 0.0]
    };
    let trainer = restorer(&network);
    let model = |out| trainer.restore(&linear(&network, &weights(out))).unwrap();
    let (out, within) = (model(true), model(false));
    let models = Models {
        out: &[&*out],
        within: &[&*within],
    };
    let integrated = attribute(&record, &columns, &models, Method::Automatic, 1).unwrap();
    for have in [&shapley, &integrated] {
        assert!(
            (have.columns[0] - have.columns[1]).abs() < 1e-12,
            "{have:?}"
        );
        assert!(
            have.columns[0].abs() > 0.01 && have.columns[2].abs() > 0.01,
            "{have:?}"
        );
        assert!(have.columns[3] == 0.0, "{have:?}");
    }
    assert!(matches!(
        integrated.evaluation,
        Evaluation::IntegratedGradients { steps: 32 }
    ));

    // Of a function of one line, integrated gradients have a closed form: each column gets the
    // share of the difference that it has of the step along the line. Here the gap is no such
    // function, but the loss of each model is: its margin is linear.
    let mut want = [0.0; 4];
    for (weights, sign) in [(weights(true), 1.0), (weights(false), -1.0)] {
        let slope = |i: usize| f64::from(weights[i]) - f64::from(weights[4 + i]);
        let step = |i: usize| slope(i) * (f64::from(features[i]) - f64::from(baseline[i]));
        let margin = |x: &Array1<f32>| (0..4).map(|i| slope(i) * f64::from(x[i])).sum::<f64>();
        let loss = |x: &Array1<f32>| (-margin(x)).exp().ln_1p();
        let total: f64 = (0..4).map(step).sum();
        for (i, want) in want.iter_mut().enumerate() {
            *want += sign * (loss(&features) - loss(&baseline)) * step(i) / total;
        }
    }
    assert_near(&integrated.columns, &want, 1e-6);
}

/// The file of a network without hidden layers and biases.
fn linear(network: &Network, weights: &[f32]) -> Vec<u8> {
    let (classes, inputs) = (network.classes, network.inputs);
    let end = 4 * classes * inputs;
    let header = serde_json::json!({
        "__metadata__": {"network": serde_json::to_string(network).unwrap()},
        "layers.0.weight": {
            "dtype": "F32", "shape": [classes, inputs], "data_offsets": [0, end],
        },
        "layers.0.bias": {
            "dtype": "F32", "shape": [classes], "data_offsets": [end, end + 4 * classes],
        },
    })
    .to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
    bytes.extend(vec![0; 4 * classes]);
    bytes
}

/// A model whose gradients of the loss are those of the default.
struct Plain<'a>(&'a dyn Model);

impl Model for Plain<'_> {
    fn records(&self) -> usize {
        self.0.records()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn each_logits(&self, sink: Sink) -> io::Result<()> {
        self.0.each_logits(sink)
    }

    fn features(&self) -> usize {
        self.0.features()
    }

    fn each_features(&self, sink: Sink) -> io::Result<()> {
        self.0.each_features(sink)
    }

    fn answer(&self, inputs: ArrayView2<f32>) -> Result<Array2<f32>> {
        self.0.answer(inputs)
    }

    fn gradients(&self, inputs: ArrayView2<f32>, label: u32) -> Result<Option<Array2<f32>>> {
        self.0.gradients(inputs, label)
    }

    fn weights(&self) -> Result<Vec<u8>> {
        self.0.weights()
    }
}

#[test]
fn gradients_of_the_loss_follow_from_those_of_the_scaled_logit() {
    let values: Values = serde_json::from_str(VALUES).unwrap();
    let trainer = restorer(&values.dense.network);
    let [file] = networks!("dense-out-0");
    let model = trainer.restore(file).unwrap();
    let inputs = Array2::from_shape_fn((20, 6), |(i, j)| numbers(6, i as u64)[j]);
    for label in 0..3 {
        let own = model.loss_gradients(inputs.view(), label).unwrap().unwrap();
        let derived = Plain(&*model).loss_gradients(inputs.view(), label);
        let (own, derived) = (
            own.mapv(f64::from),
            derived.unwrap().unwrap().mapv(f64::from),
        );
        let largest = own.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(largest > 0.1);
        assert_near(
            derived.as_slice().unwrap(),
            own.as_slice().unwrap(),
            2e-6 * largest,
        );
    }
    let asked = Asked(tangled);
    assert_eq!(asked.loss_gradients(inputs.view(), 0).unwrap(), None);
}

#[test]
fn what_cannot_be_attributed_is_refused() {
    let features = numbers(3, 1);
    let (asked, broken) = (Asked(tangled), Asked(|_: &[f32]| vec![f32::NAN, 0.0]));
    let models = Models {
        out: &[&asked],
        within: &[&asked],
    };
    let record = Record {
        number: 17,
        label: 1,
        features: features.view(),
        baseline: features.view(),
    };
    let refused = |record: &Record, columns: &Columns, models: &Models, method| {
        attribute(record, columns, models, method, 1)
            .unwrap_err()
            .to_string()
    };
    let columns = plain(3);
    let none = Models {
        within: &[],
        ..models
    };
    let message = refused(&record, &columns, &none, Method::Automatic);
    assert!(message.contains("there are 0 and 1"), "{message}");
    let message = refused(&record, &plain(4), &models, Method::Automatic);
    assert!(message.contains('3') && message.contains('4'), "{message}");
    let other = Record { label: 2, ..record };
    refused(&other, &columns, &models, Method::Automatic);
    refused(&record, &columns, &models, Method::IntegratedGradients);
    for permutations in [0, 2, 5] {
        refused(
            &record,
            &columns,
            &models,
            Method::Sampling { permutations },
        );
    }
    let models = Models {
        out: &[&broken],
        ..models
    };
    let message = refused(&record, &columns, &models, Method::Automatic);
    assert!(message.contains("NaN"), "{message}");
}

#[test]
fn a_record_at_its_baseline_gets_nothing() {
    let features = numbers(3, 1);
    let (out, within) = (Asked(tangled), Asked(bent));
    let models = Models {
        out: &[&out],
        within: &[&within],
    };
    let record = Record {
        number: 0,
        label: 1,
        features: features.view(),
        baseline: features.view(),
    };
    let have = attribute(&record, &plain(3), &models, Method::Automatic, 1).unwrap();
    assert_eq!(have.columns, [0.0; 3]);
    assert!(have.is_complete());
}

#[test]
fn baselines_are_means_of_classes() {
    let features = ndarray::array![[1.0f32, 2.0], [3.0, 6.0], [5.0, 1.0]];
    let means = class_means(features.view(), &[0, 0, 2], 3);
    assert_eq!(means, ndarray::array![[2.0, 4.0], [3.0, 3.0], [5.0, 1.0]]);
    let columns = grouped(&[4, 4, 7]);
    assert_eq!(columns.names(), ["column 4", "column 7"]);
    assert_eq!(columns.of_feature(), [0, 0, 1]);
}
