//! `report.html`.

pub(crate) mod gathered;
pub(crate) mod rows;
