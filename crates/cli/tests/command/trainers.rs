//! Options that mean nothing to a trainer are refused, with the trainer that they are for.

use std::fmt::Write as _;

use crate::sandbox::Sandbox;

fn with_table() -> Sandbox {
    let mut text = "age,income,outcome\n".to_owned();
    for i in 0..60 {
        let (age, income) = (20 + i * 13 % 50, (i * i * 31) % 997);
        writeln!(text, "{age},{income},{}", i % 2).unwrap();
    }
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", text);
    sandbox
}

#[test]
fn options_of_other_trainers_are_refused() {
    let sandbox = with_table();
    for (trainer, options) in [
        (
            "forest",
            &[
                "--hidden 8",
                "--convolutions 16x5",
                "--pool average",
                "--padding same",
                "--activation tanh",
                "--dropout 0.5",
                "--epochs 3",
                "--batch-size 8",
                "--learning-rate 0.1",
                "--optimiser sgd",
                "--l2 0.1",
                "--label-smoothing 0.1",
                "--schedule cosine",
                "--patience 3",
                "--rounds 3",
                "--max-leaves 4",
                "--trainer-timeout 5",
            ][..],
        ),
        (
            "boosting",
            &[
                "--hidden 8",
                "--epochs 3",
                "--trees 5",
                "--max-features all",
            ],
        ),
        (
            "network",
            &[
                "--trees 5",
                "--rounds 5",
                "--max-depth 3",
                "--trainer-saves-model",
            ],
        ),
    ] {
        for option in options {
            let line =
                format!("audit people.csv --label outcome --trainer {trainer} {option} --run run");
            let name = option.split(' ').next().unwrap();
            let message = format!("{name}: means nothing to the trainer {trainer}");
            sandbox.run(&line).refused(2, &[&message, "--trainer "]);
            assert!(!sandbox.path("run").exists());
        }
    }
}
