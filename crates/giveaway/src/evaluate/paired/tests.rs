use giveaway_stats::random::Stream;
use giveaway_stats::roc::Roc;

use super::*;

/// Scores of `targets` targets on `records` records, members a little higher, with ties.
fn scores(seed: u64, targets: usize, records: usize, lift: f64) -> Vec<(Vec<f64>, Vec<bool>)> {
    let mut stream = Stream::new(seed, "paired", 0);
    (0..targets)
        .map(|_| {
            let inside: Vec<bool> = (0..records).map(|_| stream.uniform() < 0.5).collect();
            let scores = inside
                .iter()
                .map(|&inside| {
                    let lifted = stream.normal() + if inside { lift } else { 0.0 };
                    (lifted * 10.0).round()
                })
                .collect();
            (scores, inside)
        })
        .collect()
}

fn scored(of: &[(Vec<f64>, Vec<bool>)]) -> ScoredTargets {
    let mut targets = ScoredTargets::default();
    for (target, (scores, inside)) in of.iter().enumerate() {
        targets.add(scores, inside, target / 2);
    }
    targets
}

fn all(families: usize, records: usize) -> (Vec<bool>, Vec<bool>) {
    (vec![true; families], vec![true; records])
}

#[test]
fn figures_are_those_of_the_roc_of_each_target() {
    let of = scores(1, 4, 400, 0.8);
    let (families, records) = all(2, 400);
    let marked: Vec<bool> = (0..400).map(|record| record % 3 == 0).collect();
    let draws = Draws::new(5, 400, 2);
    let part = Part {
        families: &families,
        records: &records,
    };
    let found = scored(&of).compare(&marked, part, &draws);
    let value = |figure| found.figure(figure).value.unwrap();
    let mean = |f: &dyn Fn(&Roc) -> f64| {
        of.iter()
            .map(|(scores, inside)| f(&Roc::new(scores, inside).unwrap()))
            .sum::<f64>()
            / of.len() as f64
    };
    assert!((value(Figure::Auc) - mean(&|roc| roc.auc())).abs() < 1e-12);
    assert!((value(Figure::Advantage) - mean(&|roc| roc.advantage())).abs() < 1e-12);
    let at = |rate| mean(&move |roc: &Roc| roc.tpr_at_fpr(rate).unwrap());
    assert!((value(Figure::AtTenPercent) - at(0.1)).abs() < 1e-12);
    assert!((value(Figure::AtOnePercent) - at(0.01)).abs() < 1e-12);
    // some 200 non-members of each target are too few for a rate of .001, and 800 too
    assert_eq!(found.figure(Figure::AtOneInThousand).value, None);

    // by brute force: the smallest threshold that accuses at most 1 % of the marked non-members
    let of_marked: Vec<(f64, bool)> = of
        .iter()
        .flat_map(|(scores, inside)| {
            let marked = &marked;
            (0..400)
                .filter(move |&i| marked[i])
                .map(move |i| (scores[i], inside[i]))
        })
        .collect();
    let count = |t: f64, member: bool| {
        let accused = |s: &&(f64, bool)| s.0 >= t && s.1 == member;
        of_marked.iter().filter(accused).count() as f64
    };
    let all = |member: bool| count(f64::NEG_INFINITY, member);
    let threshold = of_marked
        .iter()
        .map(|s| s.0)
        .filter(|&t| count(t, false) <= 0.01 * all(false))
        .fold(f64::INFINITY, f64::min);
    let found_share = count(threshold, true) / all(true);
    assert!((value(Figure::MarkedFound) - found_share).abs() < 1e-12 && found_share > 0.0);
    let accused_share = count(threshold, false) / all(false);
    assert!((value(Figure::MarkedAccused) - accused_share).abs() < 1e-12);
    let scores: Vec<f64> = of_marked.iter().map(|s| s.0).collect();
    let members: Vec<bool> = of_marked.iter().map(|s| s.1).collect();
    let auc = Roc::new(&scores, &members).unwrap().auc();
    assert!((value(Figure::MarkedAuc) - auc).abs() < 1e-12);
    let counts = scored(&of).accused_among(&marked);
    let sum = |f: &dyn Fn(&Accused) -> u32| f64::from(counts.iter().map(f).sum::<u32>());
    assert!((sum(&|c| c.found) / sum(&|c| c.in_targets) - found_share).abs() < 1e-12);
    assert!((sum(&|c| c.wrongly) / sum(&|c| c.out_targets) - accused_share).abs() < 1e-12);
}

/// Records that score high whether a target was trained on them or not betray nothing.
#[test]
fn records_that_are_always_accused_are_not_found() {
    let mut of = scores(6, 8, 300, 0.0);
    for (scores, _) in &mut of {
        for score in &mut scores[..30] {
            *score += 80.0;
        }
    }
    let (families, records) = all(4, 300);
    let marked: Vec<bool> = (0..300).map(|record| record < 30).collect();
    let part = Part {
        families: &families,
        records: &records,
    };
    let scored = scored(&of);
    let found = scored.compare(&marked, part, &Draws::new(5, 300, 4));
    assert!(found.figure(Figure::MarkedFound).value.unwrap() < 0.1);
    assert!((found.figure(Figure::MarkedAuc).value.unwrap() - 0.5).abs() < 0.15);
    // over all records they are who is accused
    let accused = scored.accused(300);
    let first: u32 = accused[..30].iter().map(|c| c.found + c.wrongly).sum();
    let rest: u32 = accused[30..].iter().map(|c| c.found + c.wrongly).sum();
    assert!(first > 0 && rest == 0, "{first} {rest}");
}

#[test]
fn counts_of_accusations_are_those_of_the_figures() {
    let of = scores(2, 6, 300, 1.0);
    let scored = scored(&of);
    let counts = scored.accused(300);
    let (families, records) = all(3, 300);
    let marked = vec![true; 300];
    let part = Part {
        families: &families,
        records: &records,
    };
    let found = scored.compare(&marked, part, &Draws::new(5, 300, 3));
    // targets weigh alike there, and records here: nearly, not quite the same mean
    let sum = |f: &dyn Fn(&Accused) -> u32| counts.iter().map(f).sum::<u32>();
    let share = f64::from(sum(&|c| c.found)) / f64::from(sum(&|c| c.in_targets));
    assert!((share - found.figure(Figure::AtOnePercent).value.unwrap()).abs() < 0.01);
    let wrongly = f64::from(sum(&|c| c.wrongly)) / f64::from(sum(&|c| c.out_targets));
    assert!(wrongly <= 0.01, "{wrongly}");
    assert_eq!(sum(&|c| c.in_targets) + sum(&|c| c.out_targets), 1800);
}

#[test]
fn a_recipe_does_not_differ_from_itself_and_pairing_narrows_the_change() {
    let before = scores(3, 20, 300, 0.6);
    // the same scores, a little disturbed
    let mut stream = Stream::new(9, "disturbed", 0);
    let after: Vec<(Vec<f64>, Vec<bool>)> = before
        .iter()
        .map(|(scores, inside)| {
            let moved = scores.iter().map(|s| s + stream.normal()).collect();
            (moved, inside.clone())
        })
        .collect();
    let (families, records) = all(10, 300);
    let marked = vec![false; 300];
    let part = Part {
        families: &families,
        records: &records,
    };
    let draws = Draws::new(5, 300, 10);
    let one = scored(&before).compare(&marked, part, &draws);
    let other = scored(&after).compare(&marked, part, &draws);
    let itself = one.figure(Figure::Auc).less(one.figure(Figure::Auc));
    assert_eq!(itself.value, Some(0.0));
    assert!(itself.replicates.iter().all(|r| *r == Some(0.0)));
    let width = |e: Estimate| e.upper.unwrap() - e.lower.unwrap();
    let change = other.figure(Figure::Auc).less(one.figure(Figure::Auc));
    assert!(
        width(change.estimate()) < 0.5 * width(one.figure(Figure::Auc).estimate()),
        "{:?} {:?}",
        change.estimate(),
        one.figure(Figure::Auc).estimate()
    );
    assert_eq!(one.figure(Figure::MarkedFound).value, None);
}

#[test]
fn a_part_is_as_if_the_rest_were_not_there() {
    let of = scores(4, 8, 200, 1.0);
    let families = [true, false, true, false];
    let records: Vec<bool> = (0..200).map(|record| record < 120).collect();
    let marked: Vec<bool> = (0..200).map(|record| record % 2 == 0).collect();
    let part = Part {
        families: &families,
        records: &records,
    };
    let draws = Draws::new(1, 200, 4);
    let found = scored(&of).compare(&marked, part, &draws);
    let mut alone = ScoredTargets::default();
    for (target, (scores, inside)) in of.iter().enumerate() {
        if families[target / 2] {
            alone.add(&scores[..120], &inside[..120], target / 2);
        }
    }
    let (every, first) = (vec![true; 4], vec![true; 200]);
    let whole = alone.compare(
        &marked,
        Part {
            families: &every,
            records: &first,
        },
        &draws,
    );
    assert_eq!(found, whole);
}
