use super::*;
use crate::evaluate::CONFIDENCE;
use giveaway_stats::interval::{clopper_pearson, percentile_interval};

const TARGETS: usize = 24;
const RECORDS: usize = 10;

/// Complementary pairs, and p-values of which members have the smaller ones.
struct Data {
    families: Vec<usize>,
    units: Vec<u32>,
    is_member: Vec<bool>,
    p: Vec<f64>,
}

fn data(power: f64) -> Data {
    let mut stream = Stream::new(5, "indirect evaluation", 0);
    let families: Vec<usize> = (0..TARGETS).map(|target| 7 + target / 2).collect();
    // two records of one unit, and numbers with gaps
    let units: Vec<u32> = (0..RECORDS as u32).map(|r| 100 + 3 * (r / 2)).collect();
    let mut is_member = vec![false; TARGETS * RECORDS];
    for pair in 0..TARGETS / 2 {
        for record in 0..RECORDS {
            let first = stream.uniform() < 0.5;
            is_member[2 * pair * RECORDS + record] = first;
            is_member[(2 * pair + 1) * RECORDS + record] = !first;
        }
    }
    let p = is_member
        .iter()
        .map(|&member| {
            let uniform = stream.uniform();
            // ties, and a few that were not tested
            if stream.uniform() < 0.05 {
                f64::NAN
            } else if member {
                (uniform.powf(power) * 500.0).ceil() / 500.0
            } else {
                (uniform * 500.0).ceil() / 500.0
            }
        })
        .collect();
    Data {
        families,
        units,
        is_member,
        p,
    }
}

fn played(data: &Data) -> Played {
    Played::new(&data.families, &data.units, &data.is_member, 3)
}

/// P-value, membership, family and unit.
type Quadruple = (f64, bool, usize, usize);

fn quadruples(data: &Data) -> Vec<Quadruple> {
    (0..data.p.len())
        .filter(|&at| !data.p[at].is_nan())
        .map(|at| {
            let (target, record) = (at / RECORDS, at % RECORDS);
            (data.p[at], data.is_member[at], target / 2, record / 2)
        })
        .collect()
}

/// Of those that count, the share that hits.
fn share(of: &[Quadruple], counts: impl Fn(&Quadruple) -> Option<bool>) -> Option<f64> {
    let counted: Vec<bool> = of.iter().filter_map(counts).collect();
    let hits = counted.iter().filter(|&&hit| hit).count();
    (!counted.is_empty()).then(|| hits as f64 / counted.len() as f64)
}

/// The share of pairs of a member and a non-member in which the member has the smaller p.
fn area(of: &[Quadruple]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for inside in of.iter().filter(|e| e.1) {
        for outside in of.iter().filter(|e| !e.1) {
            count += 1.0;
            sum += match inside.0.total_cmp(&outside.0) {
                std::cmp::Ordering::Less => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 0.0,
            };
        }
    }
    (count > 0.0).then(|| sum / count)
}

/// An estimate against its definition on the data and on every replicate, in which rows and
/// columns are repeated as often as they were drawn. One that was widened may only be wider.
fn check(
    played: &Played,
    entries: &[Quadruple],
    found: Estimate,
    is_widened: bool,
    of: impl Fn(&[Quadruple]) -> Option<f64>,
) {
    assert!((found.value.unwrap() - of(entries).unwrap()).abs() < 1e-12);
    let mut values: Vec<f64> = played
        .replicates
        .iter()
        .filter_map(|drawn| {
            let repeated: Vec<Quadruple> = entries
                .iter()
                .flat_map(|&e| {
                    let times = drawn.families[e.2] as usize * drawn.units[e.3] as usize;
                    vec![e; times]
                })
                .collect();
            of(&repeated)
        })
        .collect();
    let interval = percentile_interval(&mut values, CONFIDENCE).unwrap();
    let (lower, upper) = (found.lower.unwrap(), found.upper.unwrap());
    if is_widened {
        assert!(lower <= interval.lower && upper >= interval.upper);
    } else {
        assert!((lower - interval.lower).abs() < 1e-9, "{found:?}");
        assert!((upper - interval.upper).abs() < 1e-9, "{found:?}");
    }
}

#[test]
fn rates_are_those_of_repetitions() {
    let data = data(8.0);
    let played = played(&data);
    let rates = played.rates("kost", 50, &data.p);
    assert_eq!((rates.test.as_str(), rates.queries), ("kost", 50));
    assert_eq!(rates.targets, TARGETS);
    let entries = quadruples(&data);
    let members = entries.iter().filter(|e| e.1).count();
    assert_eq!(rates.members, members as u64);
    assert_eq!(rates.non_members, (entries.len() - members) as u64);
    for at in &rates.levels {
        let level = at.level;
        let accused: Vec<_> = entries.iter().filter(|e| e.0 < level).collect();
        let wrong = accused.iter().filter(|e| !e.1).count() as u64;
        assert_eq!((at.accusations, at.wrong), (accused.len() as u64, wrong));
        let few = wrong < 5;
        check(&played, &entries, at.precision, few, |of| {
            share(of, |e| (e.0 < level).then_some(e.1))
        });
        check(&played, &entries, at.recall, false, |of| {
            share(of, |e| e.1.then_some(e.0 < level))
        });
        check(&played, &entries, at.false_positive_rate, few, |of| {
            share(of, |e| (!e.1).then_some(e.0 < level))
        });
    }
    let wrong: Vec<u64> = rates.levels.iter().map(|at| at.wrong).collect();
    assert!(
        wrong[0] < 5 && wrong[1] >= 5,
        "both ways are seen: {wrong:?}"
    );
    check(&played, &entries, rates.auc, false, area);
}

#[test]
fn calibration_is_that_of_repetitions() {
    let data = data(8.0);
    let played = played(&data);
    let entries = quadruples(&data);
    let calibration = played.calibration("kost", 50, &data.p);
    let outside = entries.iter().filter(|e| !e.1).count() as u64;
    assert_eq!(calibration.non_members, outside);
    assert_eq!(calibration.at.len(), CALIBRATION_LEVELS.len());
    for point in &calibration.at[5..10] {
        let level = point.level;
        check(&played, &entries, point.share, false, |of| {
            share(of, |e| (!e.1).then_some(e.0 <= level))
        });
    }
    let last = calibration.at[10].share;
    assert_eq!((last.value, last.lower), (Some(1.0), None), "by definition");
}

/// At the level itself p is not below it, but it is at most it.
#[test]
fn a_floor_at_the_level_is_no_accusation() {
    let mut data = data(1.0);
    data.p.fill(0.01);
    let played = played(&data);
    let rates = played.rates("empirical", 10, &data.p);
    assert_eq!(
        (rates.levels[0].accusations, rates.levels[1].accusations),
        (0, 240)
    );
    let at = played.calibration("empirical", 10, &data.p).at[3];
    assert!((at.level - 0.01).abs() < 1e-12 && at.share.value == Some(1.0));
    // all scores tie
    assert_eq!(rates.auc.value, Some(0.5));
}

/// Where nobody is accused wrongly the bootstrap sees no spread: the interval is that of as
/// many trials as there are independent pieces, here five units.
#[test]
fn no_wrong_accusation_is_no_proof() {
    let mut data = data(1.0);
    for (p, &member) in data.p.iter_mut().zip(&data.is_member) {
        *p = if member { 1e-6 } else { 0.5 };
    }
    let rates = played(&data).rates("fisher", 200, &data.p);
    let at = &rates.levels[0];
    assert_eq!((at.accusations, at.wrong), (120, 0));
    let none = clopper_pearson(0, 5, CONFIDENCE);
    let all = clopper_pearson(5, 5, CONFIDENCE);
    assert_eq!(at.false_positive_rate.value, Some(0.0));
    assert_eq!(at.false_positive_rate.upper, Some(none.upper));
    assert_eq!(at.precision.lower, Some(all.lower));
    assert_eq!(at.recall.lower, Some(all.lower));
    assert_eq!(rates.auc.value, Some(1.0));
}

#[test]
fn nothing_tested_gives_nothing() {
    let mut data = data(1.0);
    data.p.fill(f64::NAN);
    let played = played(&data);
    let rates = played.rates("kost", 1, &data.p);
    assert_eq!((rates.members, rates.non_members), (0, 0));
    assert_eq!(rates.levels[0].precision, Estimate::default());
    assert_eq!(rates.levels[0].recall, Estimate::default());
    assert_eq!(rates.auc, Estimate::default());
    let calibration = played.calibration("kost", 1, &data.p);
    assert!(
        calibration
            .at
            .iter()
            .all(|at| at.share == Estimate::default())
    );
    // no record at all, which a run without confirmed queries has
    let empty = Played::new(&data.families, &[], &[], 3);
    assert_eq!(empty.rates("kost", 1, &[]).auc, Estimate::default());
}

/// Uniform p-values of non-members are within their intervals, and too small ones are not.
#[test]
fn calibration_tells_a_test_that_keeps_its_promise() {
    let mut stream = Stream::new(8, "calibration", 0);
    let (targets, records) = (128, 50);
    let families: Vec<usize> = (0..targets).map(|t| t / 2).collect();
    let units: Vec<u32> = (0..records as u32).collect();
    let is_member = vec![false; targets * records];
    let p: Vec<f64> = is_member.iter().map(|_| stream.uniform()).collect();
    let played = Played::new(&families, &units, &is_member, 1);
    let holds = |p: &[f64]| {
        played.calibration("kost", 200, p).at[..9]
            .iter()
            .all(|at| at.share.lower.unwrap() <= at.level)
    };
    assert!(holds(&p));
    let too_small: Vec<f64> = p.iter().map(|p| p / 2.0).collect();
    assert!(!holds(&too_small));
}
