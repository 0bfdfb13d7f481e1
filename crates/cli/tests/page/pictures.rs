//! Pictures of the pages, for people to look at: with `GIVEAWAY_SCREENSHOTS=FOLDER` they are
//! left there.

use std::path::PathBuf;

use crate::promises::{PAPER, PHONE, open};
use crate::runs::{Run, hostile, redacted, sample};
use crate::webdriver::Browser;

fn keep(name: &str, content: &[u8]) {
    if let Some(folder) = std::env::var_os("GIVEAWAY_SCREENSHOTS") {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
    }
}

/// The whole page, and its first record.
fn take(browser: &Browser, name: &str) {
    store(name, &browser.picture());
    browser.click("#records-table tr[data-row] a");
    browser.wait_until("document.getElementById('record').open");
    store(&format!("{name}-record"), &browser.screenshot());
    browser.click("#record-close");
    browser.run("scrollTo(0, 0)", &[]);
}

fn store(name: &str, picture: &[u8]) {
    assert!(picture.starts_with(b"\x89PNG"), "{name} is no picture");
    keep(&format!("{name}.png"), picture);
}

fn pictures(name: &str, run: &Run) {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, run);
    browser.prefer("light");
    take(&browser, &format!("{name}-light"));
    browser.prefer("dark");
    take(&browser, &format!("{name}-dark"));
    browser.prefer("light");
    browser.screen(PHONE.0, PHONE.1, true);
    take(&browser, &format!("{name}-phone"));
    browser.emulate_print(Some(PAPER));
    store(&format!("{name}-print"), &browser.picture());
    browser.emulate_print(None);
    let printed = browser.print();
    assert!(printed.starts_with(b"%PDF-"), "{name} is no PDF");
    keep(&format!("{name}.pdf"), &printed);
}

#[test]
fn of_a_usual_audit() {
    pictures("usual", sample());
}

#[test]
fn of_hostile_data() {
    pictures("hostile", hostile());
}

#[test]
fn of_a_redacted_copy() {
    pictures("redacted", redacted());
}
