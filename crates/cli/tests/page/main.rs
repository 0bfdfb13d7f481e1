//! The page that people read, in a real browser: Chromium, driven through chromedriver.
//!
//! Where they are not installed, each test says `SKIPPED` and passes; with
//! `GIVEAWAY_REQUIRE_BROWSER=1`, as in CI, it fails.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod defence;
mod explanation;
mod indirect;
mod kit;
mod numbers;
mod pictures;
mod promises;
mod records;
mod runs;
mod webdriver;
