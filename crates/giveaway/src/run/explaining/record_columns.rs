//! The columns that an explanation adds to `records.parquet`.

use super::{Described, Work};
use crate::error::Result;
use crate::explain::answers::Answers;
use crate::report::FORMAT_VERSION;
use crate::report::records::{Values, to_parquet};

impl Work<'_> {
    /// The table of the audit with what is new beside it; what an earlier explanation added is
    /// replaced.
    pub(super) fn records_parquet(
        &self,
        described: &Described,
        answers: &Answers,
    ) -> Result<Vec<u8>> {
        let Described {
            measures,
            reasons,
            statements,
        } = described;
        let pool = self.pool;
        let records = pool.table.len();
        let audited: Vec<bool> = {
            let mut flags = vec![false; pool.units.len()];
            for &unit in &pool.audited {
                flags[unit as usize] = true;
            }
            (0..records)
                .map(|record| flags[pool.units.of_record(record)])
                .collect()
        };
        let number = |of: &dyn Fn(usize) -> f64| {
            Values::Number(
                (0..records)
                    .map(|record| {
                        if audited[record] {
                            of(record)
                        } else {
                            f64::NAN
                        }
                    })
                    .collect(),
            )
        };
        let text = |of: &dyn Fn(usize) -> Option<String>| {
            Values::Text(
                (0..records)
                    .map(|record| audited[record].then(|| of(record)).flatten())
                    .collect(),
            )
        };
        let unit = |record: usize| pool.units.of_record(record);
        let mut added = vec![
            ("leak".to_owned(), number(&|record| self.leak[unit(record)])),
            (
                "leak_testing".to_owned(),
                number(&|record| answers.judged(record).loss_gap()),
            ),
            (
                "leak_rank".to_owned(),
                Values::Whole(
                    (0..records)
                        .map(|record| i64::try_from(self.rank[unit(record)]?).ok())
                        .collect(),
                ),
            ),
            (
                "reason".to_owned(),
                text(&|record| Some(reasons[record][0].name().to_owned())),
            ),
            (
                "further_reasons".to_owned(),
                text(&|record| {
                    let names: Vec<&str> = reasons[record][1..].iter().map(|r| r.name()).collect();
                    (!names.is_empty()).then(|| names.join("; "))
                }),
            ),
            (
                "statement".to_owned(),
                text(&|record| statements.get(&(record as u32)).cloned()),
            ),
        ];
        for measure in measures {
            added.push((
                measure.name.clone(),
                number(&|record| measure.values[record]),
            ));
        }
        let mut columns: Vec<(String, Values)> = Vec::new();
        for (name, values) in &self.verdicts.columns {
            if !added.iter().any(|(new, _)| new == name) {
                columns.push((name.clone(), values.clone()));
            }
        }
        columns.extend(added);
        to_parquet(
            &columns,
            &[("giveaway.format_version", FORMAT_VERSION.to_string())],
        )
    }
}
