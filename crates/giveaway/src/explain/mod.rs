//! Why records are exposed: measures of a record among the others, and what follows from them.

pub mod geometry;
