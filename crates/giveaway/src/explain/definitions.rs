//! Two definitions of a vulnerable record on the same target (methods, section 2.1).
//!
//! Khalil et al. (2025) call members vulnerable whose scaled logit is above the 99th percentile
//! of the non-members' on the one model: one threshold for all. There a record that every model
//! gets right with ease is "vulnerable", and as many non-members are by construction 1 %. Per
//! record the threshold is that of the record's own OUT models.

use giveaway_stats::summary::{mean, quantile};

use super::spread::rate;
use crate::report::explanation::{Definition, Definitions};

/// The percentile of the non-members' scaled logits above which a member is vulnerable by the
/// global definition.
const PERCENTILE: f64 = 0.99;

/// The p-value up to which a member is vulnerable by the other.
pub const LEVEL: f64 = 0.01;

/// A unit of the target whose membership is known.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Whether the target was trained on it.
    pub member: bool,
    /// Its scaled logit on the target.
    pub scaled_logit: f64,
    /// Its p-value of direct inference; NaN where it has none.
    pub p: f64,
    /// Its leak in nats, NaN where unknown.
    pub leak: f64,
    /// Whether it is among the leakiest.
    pub leaky: bool,
}

/// Compares both definitions; nothing without members, or without non-members.
#[must_use]
pub fn definitions(units: &[Judged]) -> Option<Definitions> {
    let mut outside: Vec<f64> = units
        .iter()
        .filter(|u| !u.member)
        .map(|u| u.scaled_logit)
        .collect();
    outside.sort_unstable_by(f64::total_cmp);
    let threshold = quantile(&outside, PERCENTILE)?;
    if !units.iter().any(|u| u.member) {
        return None;
    }
    let global = |u: &Judged| u.scaled_logit > threshold;
    let own = |u: &Judged| u.p <= LEVEL;
    Some(Definitions {
        global: definition(units, global),
        per_record: definition(units, own),
        both: units
            .iter()
            .filter(|u| u.member && global(u) && own(u))
            .count(),
    })
}

fn definition(units: &[Judged], named: impl Fn(&Judged) -> bool) -> Definition {
    let count = |of: &dyn Fn(&Judged) -> bool| units.iter().filter(|u| of(u)).count();
    let members = count(&|u| u.member);
    let hits = count(&|u| u.member && named(u));
    let misses = count(&|u| !u.member && named(u));
    let leaks = |of: &dyn Fn(&Judged) -> bool| {
        let leaks: Vec<f64> = units
            .iter()
            .filter(|u| of(u) && !u.leak.is_nan())
            .map(|u| u.leak)
            .collect();
        mean(&leaks)
    };
    Definition {
        members: hits,
        non_members: misses,
        true_positive_rate: rate(hits, members),
        false_positive_rate: rate(misses, units.len() - members),
        precision: rate(hits, hits + misses),
        mean_leak: leaks(&|u| u.member && named(u)),
        mean_leak_of_members: leaks(&|u| u.member),
        leaky: rate(count(&|u| u.member && named(u) && u.leaky), hits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_threshold_names_the_easy_and_the_own_threshold_the_leaky() {
        // Two members are easy for every model, two leak.
        let unit = |member, scaled_logit, p, leak| Judged {
            member,
            scaled_logit,
            p,
            leak,
            leaky: leak > 1.0,
        };
        let mut units = vec![
            unit(true, 9.0, 0.5, 0.0),
            unit(true, 8.0, 0.4, 0.0),
            unit(true, 1.0, 0.001, 3.0),
            unit(true, -1.0, 0.01, 2.0),
            unit(true, -2.0, f64::NAN, f64::NAN),
        ];
        units.extend((0..200).map(|i| {
            unit(
                false,
                -3.0 + 0.02 * f64::from(i),
                0.005 * f64::from(i + 1),
                0.0,
            )
        }));
        let found = definitions(&units).unwrap();
        // numpy 2.3: np.quantile(-3 + .02 * np.arange(200), .99) = 0.9402
        assert_eq!(found.global.members, 3);
        assert_eq!(found.global.non_members, 2);
        assert_eq!(found.per_record.members, 2);
        assert_eq!(found.per_record.non_members, 2);
        assert_eq!(found.both, 1);
        assert_eq!(found.per_record.mean_leak, Some(2.5));
        assert_eq!(found.global.mean_leak, Some(1.0));
        assert_eq!(found.per_record.mean_leak_of_members, Some(1.25));
        assert_eq!(found.per_record.leaky.value, Some(1.0));
        assert_eq!(found.per_record.true_positive_rate.value, Some(0.4));
    }

    #[test]
    fn without_both_kinds_there_is_nothing_to_compare() {
        let unit = |member| Judged {
            member,
            scaled_logit: 0.0,
            p: 0.5,
            leak: 0.0,
            leaky: false,
        };
        assert!(definitions(&[unit(true)]).is_none());
        assert!(definitions(&[unit(false)]).is_none());
        assert!(definitions(&[]).is_none());
    }
}
