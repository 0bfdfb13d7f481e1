//! Shapley values of the loss gap, for models that only answer.
//!
//! Columns are players; the worth of a set of them is the gap at the input that has the record's
//! values in these columns and the baseline's in the others. A column's Shapley value is the mean
//! over all orders of the columns of what it adds to those before it. Random orders estimate it
//! (Castro, Gómez and Tejada 2009), each beside its reverse (antithetic, Mitchell and others 2022):
//! columns that come early in one come late in the other. What the columns of one order add sums
//! to the difference between record and baseline, so the values are complete however few orders
//! there are. A column in which record and baseline agree is no player, and gets 0.

use giveaway_stats::random::Stream;

use super::{Attribution, Ends, Evaluation, Problem};
use crate::error::{Error, Result};

/// Permutations unless somebody asks for another number: the standard error of a value is then a
/// fourteenth of the standard deviation of what the column adds, or less.
pub const PERMUTATIONS: usize = 200;

/// More players than these are never enumerated: 2²⁰ gaps.
const MOST_ENUMERATED: usize = 20;

/// Shares the difference out, from all subsets of the columns where these are few.
pub(super) fn shapley(
    problem: &Problem,
    ends: Ends,
    permutations: usize,
    seed: u64,
) -> Result<Attribution> {
    if permutations < 4 || permutations % 2 == 1 {
        return Err(Error::usage(format!(
            "{permutations} permutations give no Shapley values with standard errors"
        ))
        .hint("ask for an even number of at least 4: each permutation comes with its reverse"));
    }
    let players = players(problem);
    let asked = permutations.saturating_mul(players.len().saturating_sub(1));
    if players.len() <= MOST_ENUMERATED && 1 << players.len() <= asked.max(4) {
        return exact(problem, ends, &players);
    }
    estimate(problem, ends, &players, permutations, seed)
}

/// A column in which record and baseline differ.
pub(super) struct Player {
    column: usize,
    /// The features in which they do.
    features: Vec<usize>,
}

pub(super) fn players(problem: &Problem) -> Vec<Player> {
    let mut of_column = vec![Vec::new(); problem.columns.len()];
    let record = &problem.record;
    for (feature, &column) in problem.columns.of_feature().iter().enumerate() {
        if record.features[feature].to_bits() != record.baseline[feature].to_bits() {
            of_column[column].push(feature);
        }
    }
    let numbered = of_column.into_iter().enumerate();
    numbered
        .filter(|(_, features)| !features.is_empty())
        .map(|(column, features)| Player { column, features })
        .collect()
}

/// Gives an input the record's values in the columns of a player.
fn join(problem: &Problem, player: &Player, input: &mut [f32]) {
    for &feature in &player.features {
        input[feature] = problem.record.features[feature];
    }
}

fn fill_baseline(problem: &Problem, input: &mut [f32]) {
    for (x, &baseline) in input.iter_mut().zip(problem.record.baseline) {
        *x = baseline;
    }
}

/// From the definition by subsets: Σ |S|! (d − |S| − 1)! / d! · (g(S ∪ {i}) − g(S)) over the sets S
/// without player i.
pub(super) fn exact(problem: &Problem, ends: Ends, players: &[Player]) -> Result<Attribution> {
    let count = players.len();
    let subsets = 1usize << count;
    let worth = problem.gaps_of(subsets, |subset, input| {
        fill_baseline(problem, input);
        for (i, player) in players.iter().enumerate() {
            if subset >> i & 1 == 1 {
                join(problem, player, input);
            }
        }
    })?;
    // |S|! (d − |S| − 1)! / d! is 1 / (d · binomial(d − 1, |S|)).
    let mut weights = vec![1.0 / count.max(1) as f64; count];
    for size in 1..count {
        weights[size] = weights[size - 1] * size as f64 / (count - size) as f64;
    }
    let mut columns = vec![0.0; problem.columns.len()];
    for (i, player) in players.iter().enumerate() {
        columns[player.column] = (0..subsets)
            .filter(|subset| subset >> i & 1 == 0)
            .map(|subset| {
                let size = subset.count_ones() as usize;
                weights[size] * (worth[subset | 1 << i] - worth[subset])
            })
            .sum();
    }
    Ok(ends.attribution(columns, None, Evaluation::Exact { subsets }))
}

/// From random permutations and their reverses.
pub(super) fn estimate(
    problem: &Problem,
    ends: Ends,
    players: &[Player],
    permutations: usize,
    seed: u64,
) -> Result<Attribution> {
    let number = u64::from(problem.record.number);
    let mut stream = Stream::new(seed, "permutations of an attribution", number);
    let orders: Vec<Vec<usize>> = (0..permutations / 2)
        .flat_map(|_| {
            let mut order: Vec<usize> = (0..players.len()).collect();
            stream.shuffle(&mut order);
            let reverse = order.iter().rev().copied().collect();
            [order, reverse]
        })
        .collect();
    // Of each order the inputs between baseline and record, whose gaps are known.
    let between = players.len() - 1;
    let mut current = vec![0.0; problem.features()];
    let gaps = problem.gaps_of(orders.len() * between, |index, input| {
        if index % between == 0 {
            fill_baseline(problem, &mut current);
        }
        let player = orders[index / between][index % between];
        join(problem, &players[player], &mut current);
        input.copy_from_slice(&current);
    })?;

    let mut sums = vec![0.0; players.len()];
    let mut squares = vec![0.0; players.len()];
    let mut pair = vec![0.0; players.len()];
    let mut means = vec![0.0; players.len()];
    for (seen, (orders, gaps)) in orders
        .chunks_exact(2)
        .zip(gaps.chunks_exact(2 * between))
        .enumerate()
    {
        pair.fill(0.0);
        for (order, gaps) in orders.iter().zip(gaps.chunks_exact(between)) {
            let mut before = ends.baseline_gap;
            for (&player, after) in order.iter().zip(gaps.iter().copied().chain([ends.gap])) {
                pair[player] += 0.5 * (after - before);
                before = after;
            }
        }
        // Welford's recurrence: sums of squares about the mean, without cancellation.
        for (player, &value) in pair.iter().enumerate() {
            sums[player] += value;
            let off = value - means[player];
            means[player] += off / (seen + 1) as f64;
            squares[player] += off * (value - means[player]);
        }
    }
    let pairs = (permutations / 2) as f64;
    let mut columns = vec![0.0; problem.columns.len()];
    let mut standard_errors = vec![0.0; problem.columns.len()];
    for (i, player) in players.iter().enumerate() {
        columns[player.column] = sums[i] / pairs;
        standard_errors[player.column] = (squares[i] / (pairs - 1.0) / pairs).sqrt();
    }
    let evaluation = Evaluation::Permutations { permutations };
    Ok(ends.attribution(columns, Some(standard_errors), evaluation))
}
