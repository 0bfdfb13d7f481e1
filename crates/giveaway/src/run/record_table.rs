//! `records.parquet`, what is said of every audited record, and `neighbours.parquet`, who is
//! nearest to the most exposed.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::pool::Pool;
use crate::error::Result;
use crate::evaluate::leave_one_out::Recurrence;
use crate::report::FORMAT_VERSION;
use crate::report::indirect::IndirectRecord;
use crate::report::records::{Values, to_parquet};
use crate::select::Rule;
use crate::select::neighbours::Neighbour;

/// Builds columns with one value per record from what is known per unit.
struct Columns<'a> {
    pool: &'a Pool,
    /// Of each record's unit, the position among the audited; `None` for one set aside.
    positions: Vec<Option<usize>>,
    done: Vec<(String, Values)>,
}

impl Columns<'_> {
    fn units(&self) -> impl Iterator<Item = usize> {
        (0..self.positions.len()).map(|record| self.pool.units.of_record(record))
    }

    fn text(&mut self, name: &str, of: impl Fn(usize) -> String) {
        let values = (0..self.positions.len())
            .map(|record| Some(of(record)))
            .collect();
        self.done.push((name.to_owned(), Values::Text(values)));
    }

    /// A number by the position of the unit among the audited.
    fn number(&mut self, name: &str, of: impl Fn(usize) -> f64) {
        let values = self
            .positions
            .iter()
            .map(|p| p.map_or(f64::NAN, &of))
            .collect();
        self.done.push((name.to_owned(), Values::Number(values)));
    }

    fn whole(&mut self, name: &str, of: impl Fn(usize) -> Option<i64>) {
        let values = self.units().map(of).collect();
        self.done.push((name.to_owned(), Values::Whole(values)));
    }

    fn truth(&mut self, name: &str, of: impl Fn(usize) -> Option<bool>) {
        let values = self.units().map(of).collect();
        self.done.push((name.to_owned(), Values::Truth(values)));
    }

    /// A truth about audited units only.
    fn truth_of_audited(&mut self, name: &str, of: impl Fn(u32) -> bool) {
        let values = self
            .positions
            .iter()
            .map(|p| p.map(|position| of(self.pool.audited[position])))
            .collect();
        self.done.push((name.to_owned(), Values::Truth(values)));
    }
}

/// The table as Parquet, one row per record in the order of the file.
pub(super) fn records_parquet(findings: &Findings, pool: &Pool) -> Result<Vec<u8>> {
    let mut position_of = vec![None; pool.units.len()];
    for (position, &unit) in pool.audited.iter().enumerate() {
        position_of[unit as usize] = Some(position);
    }
    let positions: Vec<Option<usize>> = (0..pool.table.len())
        .map(|record| position_of[pool.units.of_record(record)])
        .collect();
    let mut columns = Columns {
        pool,
        positions,
        done: Vec::new(),
    };
    let table = &pool.table;
    columns.text("id", |record| table.ids[record].clone());
    if let Some(groups) = &table.groups {
        columns.text("group", |record| groups[record].clone());
    }
    columns.whole("unit", |unit| i64::try_from(unit).ok());
    columns.text("class", |record| {
        table.classes[table.labels[record] as usize].clone()
    });
    columns.truth("audited", |unit| Some(position_of[unit].is_some()));
    columns.truth("member", |unit| pool.is_member[unit]);
    verdicts(&mut columns, findings);
    losses(&mut columns, findings);
    selections(&mut columns, findings);
    recurrence(&mut columns, findings);
    attacks(&mut columns, findings);
    indirect(&mut columns, findings);
    to_parquet(
        &columns.done,
        &[("giveaway.format_version", FORMAT_VERSION.to_string())],
    )
}

/// The nearest reference units of the most exposed, one row for each pair; nothing where they
/// were not looked for.
pub(super) fn neighbours_parquet(findings: &Findings, pool: &Pool) -> Result<Option<Vec<u8>>> {
    let Some(nearest) = &findings.nearest else {
        return Ok(None);
    };
    let id = |record: usize| {
        let ids = &pool.table.ids;
        ids.get(record)
            .or_else(|| pool.reference_ids.get(record - ids.len()))
            .cloned()
    };
    let class = |record: usize| {
        let label = pool.dataset.labels[record] as usize;
        pool.dataset.schema.classes.get(label).cloned()
    };
    let pairs: Vec<(u32, i64, Neighbour)> = nearest
        .iter()
        .flat_map(|(unit, found)| (1..).zip(found).map(|(rank, &other)| (*unit, rank, other)))
        .collect();
    let first_record = |pair: &(u32, i64, Neighbour)| pool.units.records(pair.2.unit as usize)[0];
    let whole = |of: fn(&(u32, i64, Neighbour)) -> i64| {
        Values::Whole(pairs.iter().map(|pair| Some(of(pair))).collect())
    };
    let text = |of: &dyn Fn(usize) -> Option<String>| {
        let records = pairs.iter().map(|pair| first_record(pair) as usize);
        Values::Text(records.map(of).collect())
    };
    let audited = pairs
        .iter()
        .map(|pair| Some((first_record(pair) as usize) < pool.table.len()));
    let columns = [
        ("unit", whole(|pair| i64::from(pair.0))),
        ("rank", whole(|pair| pair.1)),
        ("neighbour_unit", whole(|pair| i64::from(pair.2.unit))),
        ("neighbour_id", text(&id)),
        ("neighbour_class", text(&class)),
        ("neighbour_audited", Values::Truth(audited.collect())),
        (
            "distance",
            Values::Number(pairs.iter().map(|p| f64::from(p.2.distance)).collect()),
        ),
    ]
    .map(|(name, values)| (name.to_owned(), values));
    to_parquet(
        &columns,
        &[("giveaway.format_version", FORMAT_VERSION.to_string())],
    )
    .map(Some)
}

fn verdicts(columns: &mut Columns<'_>, findings: &Findings) {
    let pool = columns.pool;
    let fdr = pool.config.test.fdr;
    columns.truth_of_audited("given_away", |unit| {
        findings.q.get(&unit).is_some_and(|&q| q <= fdr)
    });
    columns.number("q_value", |position| {
        findings
            .q
            .get(&pool.audited[position])
            .copied()
            .unwrap_or(f64::NAN)
    });
    // With few OUT models the t test of a unit depends on those tested beside it.
    columns.number("p_value", |position| {
        findings
            .tested_p
            .get(&pool.audited[position])
            .copied()
            .unwrap_or(f64::NAN)
    });
    for (null, p) in &findings.p_values {
        columns.number(&format!("p_value_{}", null.name()), |position| p[position]);
    }
}

fn losses(columns: &mut Columns<'_>, findings: &Findings) {
    let pool = columns.pool;
    let of_target =
        |values: &[f32], position: usize| f64::from(values[pool.audited[position] as usize]);
    columns.number("target_loss", |position| {
        of_target(&findings.target.loss, position)
    });
    columns.number("target_scaled_logit", |position| {
        of_target(&findings.target.scaled_logit, position)
    });
    columns.number("out_loss", |position| findings.out_loss[position]);
    columns.number("in_loss", |position| findings.in_loss[position]);
}

fn selections(columns: &mut Columns<'_>, findings: &Findings) {
    for selection in findings.selections.iter().filter(|s| s.rule != Rule::All) {
        let name = selection.rule.name().replace('-', "_");
        let chosen: BTreeSet<u32> = selection.selected.iter().copied().collect();
        columns.truth_of_audited(&format!("selected_by_{name}"), |unit| {
            chosen.contains(&unit)
        });
        columns.number(&format!("vulnerability_{name}"), |position| {
            selection.vulnerability[position]
        });
    }
    if let Some((found, counts)) = &findings.neighbours {
        columns.number("nearest_distance", |position| {
            f64::from(found.nearest_distance[position])
        });
        columns.number("neighbours", |position| {
            f64::from(counts[position].reference)
        });
        columns.number("expected_neighbours", |position| counts[position].expected);
        columns.number("expected_neighbours_upper", |position| {
            counts[position].expected_upper
        });
    }
}

/// Per attack: the score, the p-value where there is one, in how many disjoint sets of
/// reference models the record is named, and how often it is accused in played targets.
fn attacks(columns: &mut Columns<'_>, findings: &Findings) {
    let Some(attacked) = &findings.attacked else {
        return;
    };
    let pool = columns.pool;
    let mut eligible = vec![None; pool.units.len()];
    for (position, &unit) in pool.eligible.iter().enumerate() {
        eligible[unit as usize] = Some(position);
    }
    for (index, (method, scores)) in attacked.scores.iter().enumerate() {
        let name = method.name().replace('-', "_");
        columns.number(&format!("score_{name}"), |position| scores.scores[position]);
        if let Some(p) = &scores.p_values {
            columns.number(&format!("p_value_{name}"), |position| p[position]);
        }
        if let Some(times) = &attacked.named[index] {
            columns.number(&format!("times_named_{name}"), |position| {
                f64::from(times[position])
            });
        }
        if pool.config.data.reference.is_none() {
            let counts = attacked.recurrence[index].as_ref();
            let of = |unit: usize, count: fn(&Recurrence) -> u32| {
                Some(i64::from(count(&counts?[eligible[unit]?])))
            };
            if counts.is_none() {
                continue;
            }
            columns.whole(&format!("found_{name}"), |unit| of(unit, |r| r.found));
            columns.whole(&format!("wrongly_accused_{name}"), |unit| {
                of(unit, |r| r.wrongly_accused)
            });
        }
    }
    if pool.config.data.reference.is_none()
        && let Some(first) = attacked.recurrence.iter().flatten().next()
    {
        let of = |unit: usize, count: fn(&Recurrence) -> u32| {
            eligible[unit].map(|position| i64::from(count(&first[position])))
        };
        columns.whole("played_in_targets", |unit| of(unit, |r| r.in_targets));
        columns.whole("played_out_targets", |unit| of(unit, |r| r.out_targets));
    }
}

/// What indirect inference says of the units that it tested.
fn indirect(columns: &mut Columns<'_>, findings: &Findings) {
    let Some(section) = &findings.audit.indirect else {
        return;
    };
    let tested: BTreeMap<u32, &IndirectRecord> = section
        .records
        .iter()
        .filter_map(|record| Some((record.unit?, record)))
        .collect();
    let audited = &columns.pool.audited;
    let number = |of: fn(&IndirectRecord) -> f64| {
        let tested = &tested;
        move |position: usize| {
            let record = tested.get(&audited[position]);
            record.map_or(f64::NAN, |record| of(record))
        }
    };
    columns.number("p_indirect", number(|record| record.p));
    columns.number("q_indirect", number(|record| record.q));
    let of_unit = |unit: usize| tested.get(&u32::try_from(unit).ok()?).copied();
    columns.truth("given_away_indirectly", |unit| {
        of_unit(unit).map(|record| record.given_away)
    });
    columns.whole("indirect_queries", |unit| {
        i64::try_from(of_unit(unit)?.queries?).ok()
    });
}

fn recurrence(columns: &mut Columns<'_>, findings: &Findings) {
    let of = |unit: usize, count: fn(&Recurrence) -> u32| {
        let unit = u32::try_from(unit).ok()?;
        findings.recurrence.get(&unit).map(|r| i64::from(count(r)))
    };
    columns.whole("in_targets", |unit| of(unit, |r| r.in_targets));
    columns.whole("in_targets_found", |unit| of(unit, |r| r.found));
    columns.whole("out_targets", |unit| of(unit, |r| r.out_targets));
    columns.whole("out_targets_wrongly_accused", |unit| {
        of(unit, |r| r.wrongly_accused)
    });
}
