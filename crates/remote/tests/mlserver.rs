//! The shipped Adult records against a real `MLServer`, which `bench/experiments/serve.py` has
//! started. Left out unless `GIVEAWAY_SERVED` names its folder and `GIVEAWAY_SERVED_URL` its
//! address.

use std::path::PathBuf;
use std::time::Instant;

use giveaway::dataset::{Table, TableOptions, matrix};
use giveaway::target::{Answers, Questions};
use giveaway_remote::{Endpoint, connect};
use ndarray::Array2;

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a measurement, and that it was left out"
)]
fn mlserver_answers_as_the_model_itself() {
    let (Ok(folder), Ok(url)) = (
        std::env::var("GIVEAWAY_SERVED"),
        std::env::var("GIVEAWAY_SERVED_URL"),
    ) else {
        eprintln!("SKIPPED: GIVEAWAY_SERVED and GIVEAWAY_SERVED_URL are not set");
        return;
    };
    let folder = PathBuf::from(folder);
    let outputs = matrix::read(&folder.join("outputs.npy")).unwrap().values;
    let table = Table::shipped("adult", &TableOptions::default()).unwrap();
    let features = Array2::zeros((table.len(), 0));
    let questions = Questions::of_table(&table, features, Vec::new());
    let endpoint = Endpoint {
        url,
        model: Some("audited".into()),
        concurrency: 2,
        ..Endpoint::default()
    };
    let target = connect(&endpoint, &table.classes).unwrap();
    let begun = Instant::now();
    let mut worst = 0.0_f32;
    let records = outputs.nrows();
    for start in (0..records).step_by(target.batch_size()) {
        let end = (start + target.batch_size()).min(records);
        let Answers::Numbers { values, .. } = target.ask(&questions.part(start..end)).unwrap()
        else {
            panic!("labels");
        };
        for (row, answer) in values.rows().into_iter().enumerate() {
            for (&asked, &known) in answer.iter().zip(outputs.row(start + row)) {
                worst = worst.max((asked - known).abs());
            }
        }
    }
    eprintln!(
        "{records} records in {:.1} s; the largest difference is {worst:e}",
        begun.elapsed().as_secs_f64()
    );
    assert!(worst <= f32::EPSILON);
}
