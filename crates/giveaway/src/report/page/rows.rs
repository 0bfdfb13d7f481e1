//! Which records the page shows, and what they are called there.

use std::fmt::Write as _;

use giveaway_stats::random::Stream;

use super::gathered::Records;
use crate::attack::method::Method;
use crate::evaluate::agreement::named;
use crate::report::Audit;
use crate::report::printable::printable;
use crate::select::Rule;

/// Rows on a page at most.
pub(super) const MOST_ROWS: usize = 10_000;
/// Records that an attack puts first which are shown at most, where not all are.
const MOST_PER_ATTACK: usize = 2_000;
/// Records that were tested indirectly which are shown one by one.
pub(crate) const MOST_INDIRECT: usize = 50;
/// Characters of a text of the data that are shown.
pub(super) const LONGEST_TEXT: usize = 300;

/// An identifier as it is shown. A long one is cut, and told from others that begin like it by a
/// part of its hash; `records.parquet` has the whole.
pub(crate) fn shown_id(id: &str) -> String {
    let Some((end, _)) = id.char_indices().nth(LONGEST_TEXT) else {
        return printable(id);
    };
    let hash = blake3::hash(id.as_bytes()).to_hex();
    format!("{}… ({})", printable(&id[..end]), &hash[..12])
}

/// The anchor of a record: who follows a link to it sees its evidence.
pub(crate) fn anchor(id: &str) -> String {
    let mut anchor = "record-".to_owned();
    for byte in shown_id(id).bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            anchor.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(anchor, "%{byte:02X}");
        }
    }
    anchor
}

/// The units whose evidence is shown.
pub(crate) struct Chosen {
    /// Positions among the audited units, in the order of the file.
    pub(super) rows: Vec<usize>,
    /// Rows in order of importance.
    pub(super) order: Vec<usize>,
    /// How many of them were not drawn at random.
    pub(super) important: usize,
    /// Per attack: what it makes of every audited unit.
    pub(super) attacks: Vec<Attack>,
    /// Per audited unit, whether its verdict was wanted.
    pub(super) selected: Vec<bool>,
}

/// What an attack makes of the audited units.
pub(super) struct Attack {
    pub(super) method: Method,
    pub(super) scores: Vec<f64>,
    /// 1 for the highest score; equals have the same rank.
    pub(super) ranks: Vec<u32>,
    /// Whether it puts the unit among its first 1 %.
    pub(super) named: Vec<bool>,
    pub(super) scored: usize,
}

impl Chosen {
    /// Positions of the units shown among the audited ones, in the order of the file.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Rows of those given away, those selected and those that an attack puts first, most
    /// important first.
    pub(crate) fn important(&self) -> &[usize] {
        &self.order[..self.important]
    }
}

/// A column of a method in `records.parquet`.
pub(super) fn column_of(prefix: &str, method: Method) -> String {
    format!("{prefix}_{}", method.name().replace('-', "_"))
}

/// Values of the records that stand for the units.
pub(super) fn of_units<T: Copy>(records: &Records, values: Option<&[T]>, missing: T) -> Vec<T> {
    records
        .units()
        .iter()
        .map(|unit| values.map_or(missing, |values| values[unit.first()]))
        .collect()
}

fn attack(method: Method, records: &Records) -> Option<Attack> {
    let column = records.numbers(&column_of("score", method))?;
    let scores = of_units(records, Some(column), f64::NAN);
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| !scores[i].is_nan()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut ranks = vec![0; scores.len()];
    for (place, &unit) in order.iter().enumerate() {
        ranks[unit] = match place.checked_sub(1).map(|before| order[before]) {
            Some(before) if scores[before].total_cmp(&scores[unit]).is_eq() => ranks[before],
            _ => place as u32 + 1,
        };
    }
    Some(Attack {
        method,
        named: named(&scores),
        scored: order.len(),
        scores,
        ranks,
    })
}

/// Chooses the units whose evidence is shown: all if there are no more than 10,000, else those
/// given away, those selected, the first 1 % of every attack (up to 2,000 each) and a random
/// sample of the rest, 10,000 together.
pub(crate) fn choose(audit: &Audit, records: &Records) -> Chosen {
    choose_among(audit, records, MOST_ROWS)
}

/// Chooses at most so many.
pub(crate) fn choose_among(audit: &Audit, records: &Records, most: usize) -> Chosen {
    let units = records.units().len();
    let attacks: Vec<Attack> = audit
        .attacks
        .iter()
        .flat_map(|section| &section.attacks)
        .filter_map(|summary| attack(summary.method, records))
        .collect();
    let given = of_units(records, records.truths("given_away"), None);
    let p = of_units(records, records.numbers("p_value"), f64::NAN);
    let rule = audit.test.selection;
    let selected: Vec<bool> = if rule == Rule::All {
        vec![true; units]
    } else {
        let column = format!("selected_by_{}", rule.name().replace('-', "_"));
        of_units(records, records.truths(&column), None)
            .into_iter()
            .map(|selected| selected == Some(true))
            .collect()
    };
    // Those that were tested, smallest p first; a missing p is the largest.
    let mut tested: Vec<usize> = (0..units).filter(|&unit| selected[unit]).collect();
    tested.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    if rule == Rule::All {
        tested.truncate(MOST_PER_ATTACK);
    }
    let mut order: Vec<usize> = Vec::with_capacity(most.min(units));
    let mut taken = vec![false; units];
    let mut take = |unit: usize| {
        if !taken[unit] && order.len() < most {
            taken[unit] = true;
            order.push(unit);
        }
    };
    let mut given: Vec<usize> = (0..units).filter(|&u| given[u] == Some(true)).collect();
    given.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
    given.into_iter().for_each(&mut take);
    tested.into_iter().for_each(&mut take);
    // The attacks in turn, so that none is cut off for another.
    let firsts: Vec<Vec<usize>> = attacks
        .iter()
        .map(|attack| {
            let mut list: Vec<usize> = (0..units).filter(|&unit| attack.named[unit]).collect();
            list.sort_by_key(|&unit| (attack.ranks[unit], unit));
            list.truncate(MOST_PER_ATTACK);
            list
        })
        .collect();
    for place in 0..firsts.iter().map(Vec::len).max().unwrap_or(0) {
        firsts
            .iter()
            .filter_map(|list| list.get(place).copied())
            .for_each(&mut take);
    }
    let important = order.len();
    let mut rest: Vec<usize> = (0..units).filter(|&unit| !taken[unit]).collect();
    Stream::new(audit.seed.unwrap_or_default(), "page rows", 0).shuffle(&mut rest);
    rest.truncate(most - important);
    order.extend(rest);

    let mut rows = order.clone();
    rows.sort_unstable();
    let mut row_of = vec![0; units];
    for (row, &unit) in rows.iter().enumerate() {
        row_of[unit] = row;
    }
    Chosen {
        rows,
        order: order.into_iter().map(|unit| row_of[unit]).collect(),
        important,
        attacks,
        selected,
    }
}
