//! What the audit said of each unit, read from `records.parquet`.

use crate::error::{Error, Result};
use crate::report::records::{Table, Values};
use crate::run::directory::RunDirectory;
use crate::run::pool::Pool;

/// What the audit said of each unit.
pub(super) struct Verdicts {
    /// The table itself.
    pub(super) columns: Vec<(String, Values)>,
    pub(super) given_away: Vec<bool>,
    /// P-value in the verdict, among those selected.
    pub(super) p: Vec<f64>,
    /// P-value of the null of the verdict, of every audited unit.
    pub(super) p_all: Vec<f64>,
    /// Scaled logit on the target.
    pub(super) scaled_logit: Vec<f64>,
}

impl Verdicts {
    /// Reads `records.parquet`; values per unit.
    pub(super) fn read(run: &RunDirectory, pool: &Pool) -> Result<Self> {
        let path = run.file("records.parquet");
        let damaged = |what: &str| {
            Error::input(what)
                .at(path.display())
                .hint("run the audit again: it is made anew")
        };
        let bytes = std::fs::read(&path)
            .map_err(|e| Error::io("read the records of the run", &path, &e))?;
        let table = Table::open(bytes).map_err(|e| e.at(path.display()))?;
        if table.rows() != pool.table.len() {
            return Err(damaged("as many rows as the run has records are expected"));
        }
        let mut columns = Vec::new();
        for column in 0..table.columns() {
            let values = table.column(column).map_err(|e| e.at(path.display()))?;
            columns.push((table.name(column).to_owned(), values));
        }
        let find = |name: &str| columns.iter().find(|c| c.0 == name).map(|c| &c.1);
        let null = format!("p_value_{}", pool.config.test.null().name());
        let (
            Some(Values::Truth(given_away)),
            Some(Values::Number(p)),
            Some(Values::Number(p_all)),
            Some(Values::Number(logit)),
        ) = (
            find("given_away"),
            find("p_value"),
            find(&null),
            find("target_scaled_logit"),
        )
        else {
            return Err(damaged("columns of the audit are missing"));
        };
        let units = pool.units.len();
        let mut verdicts = Self {
            given_away: vec![false; units],
            p: vec![f64::NAN; units],
            p_all: vec![f64::NAN; units],
            scaled_logit: vec![f64::NAN; units],
            columns: Vec::new(),
        };
        for record in 0..pool.table.len() {
            let unit = pool.units.of_record(record);
            verdicts.given_away[unit] = given_away[record] == Some(true);
            verdicts.p[unit] = p[record];
            verdicts.p_all[unit] = p_all[record];
            verdicts.scaled_logit[unit] = logit[record];
        }
        verdicts.columns = columns;
        Ok(verdicts)
    }
}
