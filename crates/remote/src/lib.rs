//! Models behind HTTP, asked as targets of an audit.
//!
//! [`connect`] makes a [`Target`] of the settings of an [`Endpoint`].
//! Three protocols are spoken: version 2 of the Open Inference Protocol (`KServe`, Triton,
//! `MLServer`; JSON and the binary tensor extension), TensorFlow Serving's REST predict, and any
//! endpoint that takes and gives JSON, described by a template and a path. [`download`] fetches
//! a public file.
//!
//! Each call is one attempt, on the caller's thread: when to ask again, how often, how fast and
//! within what budget is the caller's business. Nothing is asked twice, no redirect is followed
//! with questions, and no more of an answer is read than a bound allows. Secrets (the bearer
//! token, and what `${NAME}` stands for) are read when a target is opened, are sent, and appear
//! nowhere else: not in errors, not in `Debug`, not in the settings.

#![forbid(unsafe_code)]

mod cells;
mod download;
mod endpoint;
mod http;
mod json;
mod retry_after;
mod rows;
mod secrets;
mod tf_serving;
mod tls;
mod url;
mod v2;

use giveaway::error::{Error, Result};
use giveaway::target::Target;

pub use download::download;
pub use endpoint::{Binary, Endpoint, Inputs, Protocol};

/// Opens a target: reads the token, the environment and the certificates, and asks a server of
/// protocol v2 what the model takes and gives, where it says so. `classes` are the names of the
/// classes, in order.
///
/// # Errors
/// If the settings make no sense ([`Endpoint::check`]), a secret or a file they name is not
/// there, or a server of protocol v2 cannot be reached or refuses us.
pub fn connect(endpoint: &Endpoint, classes: &[String]) -> Result<Box<dyn Target>> {
    endpoint.check()?;
    if classes.len() < 2 {
        return Err(Error::usage(format!(
            "a target needs two classes at least, and here are {}",
            classes.len()
        )));
    }
    Ok(match endpoint.protocol {
        Protocol::V2 => Box::new(v2::V2::open(endpoint, classes)?),
        Protocol::TfServing => Box::new(tf_serving::TfServing::open(endpoint, classes)?),
        Protocol::Json => Box::new(json::Json::open(endpoint, classes)?),
    })
}
