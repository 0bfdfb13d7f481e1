//! What a configuration accepts, refuses and comes to.

use giveaway_nn::{Augmentation, Convolution, Optimiser, Padding, Pool, Schedule, Skip};

use super::*;
use crate::dataset::{FeatureInfo, FeatureKind, ImageShape, Schema};
use crate::select::{Amount, Rule};

fn convolution(channels: usize, size: usize) -> Convolution {
    Convolution {
        channels,
        size,
        padding: Padding::Valid,
        pool: Some(Pool::Max),
    }
}

#[test]
fn a_configuration_comes_back_from_toml() {
    let mut config = Config {
        seed: 7,
        ..Config::default()
    };
    config.data.label = Some("income".into());
    config.data.delimiter = Some(';');
    config.reference.patience = Some(3);
    config.test.amount = Amount::Count(50);
    config.test.select = Some(Rule::OutLoss);
    config.data.image = Some(vec![32, 32, 3]);
    config.reference.convolutions = vec![convolution(16, 5), convolution(32, 3)];
    config.reference.convolutions[1].padding = Padding::Same;
    config.reference.convolutions[1].pool = None;
    config.reference.convolution_skips = vec![Skip { from: 0, to: 2 }];
    config.reference.skips = vec![Skip { from: 1, to: 2 }];
    config.reference.augmentation = Some(Augmentation {
        shift: 2,
        flip: true,
    });
    let text = config.to_toml().unwrap();
    assert_eq!(Config::from_toml(&text).unwrap(), config, "{text}");
    assert_eq!(Config::from_toml("").unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named() {
    let error = Config::from_toml("[reference]\nmodles = 3\n").unwrap_err();
    assert!(error.to_string().contains("modles"), "{error}");
}

#[test]
fn values_that_make_no_sense_name_their_option() {
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert!(refused(&|c| c.test.fdr = 0.0).starts_with("--fdr"));
    assert!(refused(&|c| c.test.fdr = f64::NAN).starts_with("--fdr"));
    assert!(refused(&|c| c.reference.models = 4).starts_with("--models"));
    for (amount, option) in [
        (Amount::Share(0.0), "--top"),
        (Amount::Share(1.5), "--top"),
        (Amount::Count(0), "--count"),
        (Amount::Alpha(0.0), "--alpha"),
        (Amount::Alpha(2.5), "--alpha"),
        (Amount::Alpha(f64::NAN), "--alpha"),
    ] {
        let message = refused(&|c| c.test.amount = amount);
        assert!(message.starts_with(option), "{message}");
    }
    for select in [None, Some(Rule::OutLoss)] {
        let message = refused(&|c| {
            c.test.amount = Amount::Alpha(0.3);
            c.test.select = select;
        });
        assert!(message.contains("neighbours"), "{message}");
    }
    assert!(refused(&|c| c.reference.epochs = 0).starts_with("--epochs"));
    assert!(refused(&|c| c.target.members = Some("m".into())).starts_with("--members"));
    assert!(refused(&|c| c.data.training_units = Some(1)).starts_with("--train-size"));
    assert!(refused(&|c| c.data.per_class = Some(0)).starts_with("--per-class"));
    let both = refused(&|c| {
        c.data.per_class = Some(5);
        c.data.training_units = Some(50);
    });
    assert!(both.starts_with("--per-class"), "{both}");
    let largest = u32::MAX as usize / 2;
    for units in [largest + 1, usize::MAX] {
        let message = refused(&|c| c.data.training_units = Some(units));
        assert!(message.starts_with("--train-size"), "{message}");
    }
    let mut config = Config::default();
    config.data.training_units = Some(largest);
    config.check().unwrap();
    Config::default().check().unwrap();
}

#[test]
fn training_that_makes_no_sense_names_its_option() {
    fn sgd(momentum: f32, nesterov: bool) -> Optimiser {
        Optimiser::Sgd { momentum, nesterov }
    }
    fn adam(beta1: f32, beta2: f32, epsilon: f32) -> Optimiser {
        Optimiser::Adam {
            beta1,
            beta2,
            epsilon,
        }
    }
    fn decay(weight_decay: f32) -> Optimiser {
        Optimiser::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
        }
    }
    fn step(every: usize, factor: f32) -> Schedule {
        Schedule::Step { every, factor }
    }
    type Change = fn(&mut ReferenceConfig);
    let cases: &[(&str, Change)] = &[
        ("--models", |r| r.models = 1_000_001),
        ("--hidden", |r| r.hidden = vec![64, 0]),
        ("--hidden", |r| r.hidden = vec![65_537]),
        ("--hidden", |r| r.hidden = vec![1; 65]),
        ("--convolutions", |r| {
            r.convolutions = vec![convolution(0, 3)];
        }),
        ("--convolutions", |r| {
            r.convolutions = vec![convolution(65_537, 3)];
        }),
        ("--convolutions", |r| {
            r.convolutions = vec![convolution(3, 0)];
        }),
        ("--convolutions", |r| {
            r.convolutions = vec![convolution(3, 1024)];
        }),
        ("--convolutions", |r| {
            r.convolutions = vec![convolution(1, 1); 65];
        }),
        ("reference.convolution-skips", |r| {
            r.convolution_skips = vec![Skip { from: 0, to: 1 }];
        }),
        ("--augment-flip", |r| {
            r.augmentation = Some(Augmentation {
                shift: 0,
                flip: true,
            });
        }),
        ("--padding", |r| {
            r.convolutions = vec![convolution(4, 4)];
            r.convolutions[0].padding = Padding::Same;
        }),
        ("--dropout", |r| r.dropout = 1.5),
        ("--dropout", |r| r.dropout = 1.0),
        ("--dropout", |r| r.dropout = -0.1),
        ("--dropout", |r| r.dropout = f32::NAN),
        ("--epochs", |r| r.epochs = 1_000_001),
        ("--batch-size", |r| r.batch_size = Some(0)),
        ("--batch-size", |r| r.batch_size = Some(16_777_217)),
        ("--learning-rate", |r| r.learning_rate = f32::NAN),
        ("--learning-rate", |r| r.learning_rate = f32::INFINITY),
        ("--learning-rate", |r| r.learning_rate = 0.0),
        ("--learning-rate", |r| r.learning_rate = -1.0),
        ("--l2", |r| r.l2 = Some(f32::INFINITY)),
        ("--l2", |r| r.l2 = Some(-1.0)),
        ("--label-smoothing", |r| r.label_smoothing = 2.0),
        ("--label-smoothing", |r| r.label_smoothing = f32::NAN),
        ("--schedule", |r| r.schedule = step(0, 0.5)),
        ("--schedule", |r| r.schedule = step(5, f32::NAN)),
        ("--momentum", |r| r.optimiser = sgd(5.0, false)),
        ("--momentum", |r| r.optimiser = sgd(0.0, true)),
        ("--optimiser", |r| r.optimiser = adam(1.0, 0.9, 1e-8)),
        ("--optimiser", |r| r.optimiser = adam(0.9, f32::NAN, 1e-8)),
        ("--optimiser", |r| r.optimiser = adam(0.9, 0.9, 0.0)),
        ("--weight-decay", |r| r.optimiser = decay(-1.0)),
        ("--weight-decay", |r| r.optimiser = decay(f32::NAN)),
        ("--patience", |r| r.patience = Some(0)),
        ("--validation-share", |r| r.validation_share = 0.5),
    ];
    for (option, change) in cases {
        let mut config = Config::default();
        change(&mut config.reference);
        let error = config.check().unwrap_err();
        assert!(error.to_string().starts_with(option), "{option}: {error}");
        assert!(error.hint_text().is_some(), "{error}");
    }
}

#[test]
fn training_at_the_limits_is_accepted() {
    let mut config = Config::default();
    config.reference = ReferenceConfig {
        models: 1_000_000,
        hidden: vec![65_536; 64],
        dropout: 0.99,
        epochs: 1_000_000,
        batch_size: Some(16_777_216),
        l2: Some(0.0),
        label_smoothing: 1.0,
        schedule: Schedule::Step {
            every: 1,
            factor: 2.0,
        },
        optimiser: Optimiser::Sgd {
            momentum: 0.9,
            nesterov: true,
        },
        patience: Some(1),
        ..config.reference
    };
    config.check().unwrap();
}

#[test]
fn shapes_of_no_image_are_refused() {
    for shape in [
        &[784][..],
        &[0, 28],
        &[28, 28, 2],
        &[3, 2, 2, 2],
        &[usize::MAX, 3],
    ] {
        let mut config = Config::default();
        config.data.image = Some(shape.to_vec());
        let error = config.check().unwrap_err();
        assert!(error.to_string().starts_with("--image"), "{error}");
    }
}

/// Features of images of 12 × 10 pixels, or of rows.
fn schema(image: bool) -> Schema {
    Schema {
        features: (0..120)
            .map(|index| FeatureInfo {
                name: format!("x{index}"),
                column: format!("x{index}"),
                kind: FeatureKind::Numeric,
            })
            .collect(),
        image: image.then_some(ImageShape {
            height: 12,
            width: 10,
            channels: 1,
            bytes: true,
        }),
        classes: vec!["a".into(), "b".into()],
        ..Schema::default()
    }
}

#[test]
fn images_are_settled_where_there_are_convolutions() {
    let mut config = Config::default();
    config.settle_network(&schema(true)).unwrap();
    assert_eq!(config, Config::default());
    // Layers of 64 and 32 units cannot be added up.
    config.reference.skips = vec![Skip { from: 1, to: 2 }];
    let error = config.settle_network(&schema(true)).unwrap_err();
    assert!(error.to_string().starts_with("--hidden"), "{error}");
    config.reference.skips.clear();
    assert!(config.network(120, 2).image.is_none());

    config.reference.convolutions = vec![convolution(4, 5)];
    let error = config.settle_network(&schema(false)).unwrap_err();
    assert!(error.to_string().contains("120 features"), "{error}");
    config.settle_network(&schema(true)).unwrap();
    assert_eq!(config.data.image, Some(vec![12, 10, 1]));
    let image = config.network(120, 2).image.unwrap();
    assert_eq!((image.height, image.width, image.channels), (12, 10, 1));
    assert_eq!(image.convolutions, config.reference.convolutions);

    // 12 × 10 pixels become 4 × 3, and these 0 × 0.
    config.reference.convolutions.push(convolution(4, 3));
    let error = config.settle_network(&schema(true)).unwrap_err();
    assert!(error.to_string().contains("4 × 3"), "{error}");
}

#[test]
fn the_penalty_depends_on_the_optimiser_unless_it_is_given() {
    let penalty = |optimiser, l2| {
        let mut config = Config::default();
        config.reference.optimiser = optimiser;
        config.reference.l2 = l2;
        Some(config.training(100).l2)
    };
    assert_eq!(penalty(Optimiser::adam(), None), Some(1e-4));
    assert_eq!(penalty(Optimiser::sgd(), None), Some(1e-4));
    assert_eq!(penalty(Optimiser::adamw(), None), Some(0.0));
    assert_eq!(penalty(Optimiser::adamw(), Some(0.5)), Some(0.5));
}

#[test]
fn a_configuration_without_a_source_is_told_from_one_with() {
    assert!(!Config::names_source("").unwrap());
    assert!(!Config::names_source("seed = 1\n[data]\nlabel = \"y\"\n").unwrap());
    assert!(Config::names_source(&Config::default().to_toml().unwrap()).unwrap());
}
