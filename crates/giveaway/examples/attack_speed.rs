//! How long each attack takes on arrays in memory, as JSON. `bench/attacks/compare.py` runs it.
//!
//! ```text
//! cargo run --release -p giveaway --example attack_speed -- --models 64 --records 100000
//! ```
//!
//! Without `--folder` the arrays are made up. With it they are `signals.raw` (scaled logits of
//! `--type`, `[models][records]`), `inside.raw` (a byte for each), `target.raw` (float64), and,
//! with `--population N`, `z_signals.raw` and `z_target.raw`. All are little endian.
//! `--dump` writes the scores of each method beside them. Only computing is timed: the median
//! of `--repeat` runs, each with nothing prepared.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(
    clippy::inline_always,
    reason = "vector code works only when inlined into a function compiled for its instruction set"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use giveaway::attack::direct::Null;
use giveaway::attack::evidence::{Evidence, Population, Query, Real, Scalar};
use giveaway::attack::method::{Attacker, Method, Parameters};
use giveaway_nn::{Loops, vectorised};
use giveaway_stats::random::Stream;
use rayon::prelude::*;

type Failure = Box<dyn std::error::Error>;

struct Options {
    folder: Option<PathBuf>,
    models: usize,
    records: usize,
    population: usize,
    float32: bool,
    repeat: usize,
    dump: bool,
    methods: Vec<Method>,
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let report = if options.float32 {
        measure(&options, |x| x as f32, f32::from_le_bytes)?
    } else {
        measure(&options, |x| x, f64::from_le_bytes)?
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        folder: None,
        models: 64,
        records: 100_000,
        population: 0,
        float32: false,
        repeat: 5,
        dump: false,
        methods: Method::EVERY
            .iter()
            .copied()
            .filter(|method| !method.needs_outputs() && !method.is_of_the_target_alone())
            .collect(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--folder" => options.folder = Some(value()?.into()),
            "--models" => options.models = value()?.parse()?,
            "--records" => options.records = value()?.parse()?,
            "--population" => options.population = value()?.parse()?,
            "--type" => options.float32 = value()? == "float32",
            "--repeat" => options.repeat = value()?.parse()?,
            "--dump" => options.dump = true,
            "--methods" => {
                let names = value()?;
                options.methods = names
                    .split(',')
                    .map(Method::parse)
                    .collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    Ok(options)
}

/// The arrays of one group of records: `[models][records]` and `[records]`.
struct Arrays<T> {
    signals: Vec<Vec<T>>,
    target: Vec<f64>,
}

fn measure<T: Real, const BYTES: usize>(
    options: &Options,
    as_stored: impl Fn(f64) -> T + Sync,
    from_bytes: impl Fn([u8; BYTES]) -> T + Sync,
) -> Result<BTreeMap<String, f64>, Failure> {
    let Options {
        models,
        records,
        population,
        ..
    } = *options;
    let load = |prefix: &str, size: usize| -> Result<Arrays<T>, Failure> {
        let Some(folder) = &options.folder else {
            return Ok(made_up(models, size, prefix, &as_stored));
        };
        let bytes = std::fs::read(folder.join(format!("{prefix}signals.raw")))?;
        let signals: Vec<Vec<T>> = bytes
            .par_chunks_exact(size * BYTES)
            .map(|row| numbers(row, &from_bytes))
            .collect();
        let target = std::fs::read(folder.join(format!("{prefix}target.raw")))?;
        let target = numbers(&target, f64::from_le_bytes);
        if signals.len() != models || target.len() != size {
            return Err(format!("{prefix}signals.raw is not of {models} models").into());
        }
        Ok(Arrays { signals, target })
    };
    let own = load("", records)?;
    let others = (population > 0)
        .then(|| load("z_", population))
        .transpose()?;
    let inside: Vec<Vec<bool>> = match &options.folder {
        Some(folder) => std::fs::read(folder.join("inside.raw"))?
            .chunks_exact(records)
            .map(|row| row.iter().map(|&byte| byte != 0).collect())
            .collect(),
        None => memberships(models, records),
    };
    let mut evidence = Evidence::new(
        Scalar::ScaledLogit,
        slices(&own.signals),
        slices(&inside),
        own.target.clone(),
    );
    evidence.population = others.as_ref().map(|others| Population {
        signal: Query {
            references: slices(&others.signals),
            target: others.target.clone(),
        },
        tempered: None,
        inside: None,
    });
    let parameters = Parameters {
        offline_a: Some(0.3),
        ..Parameters::default()
    };
    let mut report = BTreeMap::new();
    let megabytes = (models * records * (BYTES + 1)) as f64 / 1e6;
    report.insert("megabytes of signals and memberships".to_owned(), megabytes);
    let read = median(options.repeat, || {
        std::hint::black_box(read_everything(&own.signals, &inside));
    });
    report.insert("read: every number once".to_owned(), read);
    let check = median(options.repeat, || {
        std::hint::black_box(evidence.check().is_ok());
    });
    report.insert("check".to_owned(), check);
    for &method in &options.methods {
        let mut scores = None;
        let mut failure = None;
        let seconds = median(options.repeat, || {
            match Attacker::new(&evidence, parameters).score(method) {
                Ok(found) => scores = Some(found.scores),
                Err(error) => failure = Some(error),
            }
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        report.insert(method.name().to_owned(), seconds);
        if let (true, Some(folder), Some(scores)) = (options.dump, &options.folder, scores) {
            dump(folder, method.name(), &scores)?;
        }
    }
    let ecdf = Parameters {
        null: Null::Ecdf,
        ..parameters
    };
    let mut scores = Vec::new();
    let seconds = median(options.repeat, || {
        if let Ok(found) = Attacker::new(&evidence, ecdf).score(Method::GmiaDirect) {
            scores = found.scores;
        }
    });
    report.insert("gmia-direct-ecdf".to_owned(), seconds);
    if let (true, Some(folder)) = (options.dump, &options.folder) {
        dump(folder, "gmia-direct-ecdf", &scores)?;
    }
    Ok(report)
}

fn dump(folder: &Path, name: &str, scores: &[f64]) -> std::io::Result<()> {
    let bytes: Vec<u8> = scores.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join(format!("{name}.raw")), bytes)
}

fn slices<T>(rows: &[Vec<T>]) -> Vec<&[T]> {
    rows.iter().map(Vec::as_slice).collect()
}

fn numbers<T, const BYTES: usize>(bytes: &[u8], from_bytes: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<BYTES>();
    chunks.iter().map(|&chunk| from_bytes(chunk)).collect()
}

fn made_up<T: Real>(
    models: usize,
    records: usize,
    name: &str,
    as_stored: &(impl Fn(f64) -> T + Sync),
) -> Arrays<T> {
    // A centre for each record; uniform noise is drawn faster than normal.
    let noise =
        |stream: &mut Stream, r: usize| (r % 13) as f64 / 3.0 - 2.0 + 3.0 * stream.uniform();
    let row = |model: usize| Stream::new(1, name, model as u64);
    Arrays {
        signals: (0..models)
            .into_par_iter()
            .map(|model| {
                let mut stream = row(model);
                (0..records)
                    .map(|r| as_stored(noise(&mut stream, r)))
                    .collect()
            })
            .collect(),
        target: {
            let mut stream = row(models);
            (0..records).map(|r| noise(&mut stream, r)).collect()
        },
    }
}

fn memberships(models: usize, records: usize) -> Vec<Vec<bool>> {
    (0..models)
        .into_par_iter()
        .map(|model| {
            let mut stream = Stream::new(2, "memberships", model as u64);
            (0..records).map(|_| stream.uniform() < 0.5).collect()
        })
        .collect()
}

/// The least that an attack has to read: a sum of everything, in blocks shared among threads.
fn read_everything<T: Real>(signals: &[Vec<T>], inside: &[Vec<bool>]) -> f64 {
    const BLOCK: usize = 1 << 15;
    let sum: f64 = signals
        .par_iter()
        .map(|row| {
            let blocks = row.par_chunks(BLOCK);
            blocks.map(|block| vectorised(Sum(block))).sum::<f64>()
        })
        .sum();
    let members: u64 = inside
        .par_iter()
        .map(|row| {
            let blocks = row.par_chunks(BLOCK);
            blocks.map(|block| vectorised(Count(block))).sum::<u64>()
        })
        .sum();
    sum + members as f64
}

/// A sum in 64 lanes, so that no addition waits for the one before it.
struct Sum<'a, T>(&'a [T]);

impl<T: Real> Loops for Sum<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sums = [0.0f64; 64];
        let (chunks, _) = self.0.as_chunks::<64>();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += x.into();
            }
        }
        sums.iter().sum()
    }
}

struct Count<'a>(&'a [bool]);

impl Loops for Count<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        self.0.iter().map(|&member| u64::from(member)).sum()
    }
}

fn median(repeat: usize, mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..repeat)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[repeat / 2]
}
