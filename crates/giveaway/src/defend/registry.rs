//! placeholder
use crate::defend::Defence;
use crate::error::{Error, Result};
pub fn parse(name: &str) -> Result<Box<dyn Defence>> {
    Err(Error::usage(name))
}
pub fn all() -> Vec<Box<dyn Defence>> {
    vec![]
}
