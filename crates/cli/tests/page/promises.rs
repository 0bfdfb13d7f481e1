//! What every page promises, whatever was audited: no complaint, no request, nothing serious
//! for those who see or hear it otherwise, no scrolling sideways, no number of its own.

use serde_json::json;

use crate::checks::{
    accessibility_faults, console_complaints, cut_labels, injected, sideways_scroll, visible,
};
use crate::defence::defended;
use crate::explanation::explained;
use crate::indirect::of_a_table;
use crate::numbers::{compare, digits_without_source};
use crate::runs::{Run, hostile, redacted, sample};
use crate::webdriver::{Browser, file_url};

/// As wide as A4 with margins of a centimetre and a half, at 96 pixels per inch.
pub(crate) const PAPER: u32 = 680;

/// A smaller phone than most.
pub(crate) const PHONE: (u32, u32) = (390, 844);

/// Opens the page and waits until its script has done its work.
pub(crate) fn open(browser: &Browser, run: &Run) {
    browser.open(&run.page());
    browser.wait_until("document.querySelector('#records.ready')");
}

fn quiet_and_alone(browser: &Browser, run: &Run) {
    open(browser, run);
    assert!(!browser.has_dialog());
    assert_eq!(console_complaints(browser), [""; 0]);
    assert_eq!(browser.requests(), [file_url(&run.page())]);
    assert_eq!(injected(browser), [""; 0]);
}

fn readable_by_all(browser: &Browser, run: &Run) {
    open(browser, run);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        assert_eq!(accessibility_faults(browser), [""; 0], "{scheme}");
    }
    browser.prefer("light");
}

fn figures_whole(browser: &Browser, run: &Run) {
    open(browser, run);
    assert_eq!(cut_labels(browser), [""; 0]);
    assert!(visible(browser, "svg") >= 4, "where are the figures?");
}

fn narrow(browser: &Browser, run: &Run) {
    browser.screen(PHONE.0, PHONE.1, true);
    open(browser, run);
    assert_eq!(sideways_scroll(browser), [""; 0]);
    assert_eq!(visible(browser, "h1"), 1);
    assert_eq!(accessibility_faults(browser), [""; 0]);
    browser.emulate_print(None);
}

fn on_paper(browser: &Browser, run: &Run) {
    open(browser, run);
    browser.emulate_print(Some(PAPER));
    assert_eq!(sideways_scroll(browser), [""; 0]);
    for control in ["button", "nav", "select", "input", "a.skip"] {
        assert_eq!(visible(browser, control), 0, "{control} is printed");
    }
    for content in ["h1", "#verdict"] {
        assert_eq!(visible(browser, content), 1, "{content} is not printed");
    }
    browser.emulate_print(None);
    let pdf = browser.print();
    assert!(pdf.starts_with(b"%PDF-"));
    assert!(pdf.len() > 20_000, "a PDF of {} bytes", pdf.len());
}

fn numbers_of_the_report(browser: &Browser, run: &Run) {
    open(browser, run);
    let report = run.report();
    let found = compare(browser, &report);
    assert_eq!(found.faults, [""; 0]);
    assert!(found.numbers >= 20 && found.words >= 5, "{found:?}");
    assert_eq!(digits_without_source(browser), [""; 0]);
}

/// Each promise is a test for each page.
macro_rules! promises {
    ($($promise:ident),*) => {$(
        mod $promise {
            use super::{Browser, defended, explained, hostile, of_a_table, redacted, sample};

            #[test]
            fn of_a_usual_audit() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, sample());
                }
            }

            #[test]
            fn of_hostile_data() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, hostile());
                }
            }

            #[test]
            fn with_indirect_inference() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, of_a_table());
                }
            }

            #[test]
            fn of_an_explained_run() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, explained());
                }
            }

            #[test]
            fn of_a_defended_run() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, defended());
                }
            }

            #[test]
            fn of_a_redacted_copy() {
                if let Some(browser) = Browser::start() {
                    super::$promise(&browser, redacted());
                }
            }
        }
    )*};
}
promises!(
    quiet_and_alone,
    readable_by_all,
    figures_whole,
    narrow,
    on_paper,
    numbers_of_the_report
);

/// Brightness of the page's background and text, 0 to 255.
fn brightness(browser: &Browser) -> (f64, f64) {
    let seen = browser.run(
        "const light = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3;
         const s = getComputedStyle(document.body);
         return [light(s.backgroundColor), light(s.color)]",
        &[],
    );
    (seen[0].as_f64().unwrap(), seen[1].as_f64().unwrap())
}

#[test]
fn dark_where_the_system_or_the_reader_asks_for_it() {
    let Some(browser) = Browser::start() else {
        return;
    };
    open(&browser, sample());
    let is_dark = || {
        let (background, text) = brightness(&browser);
        assert!((background - text).abs() > 128.0, "{background} {text}");
        background < text
    };
    // The browser tells the page of another wish of the system with the next frame.
    let button_says = |dark: bool| {
        browser.wait_until(&format!(
            "document.getElementById('theme').getAttribute('aria-pressed') === '{dark}'"
        ));
    };
    browser.prefer("light");
    assert!(!is_dark());
    browser.prefer("dark");
    assert!(is_dark());
    button_says(true);
    browser.click("#theme");
    assert!(!is_dark());
    button_says(false);
    assert_eq!(accessibility_faults(&browser), [""; 0]);
    browser.click("#theme");
    browser.prefer("light");
    assert!(is_dark(), "the reader's choice goes before the system's");
    assert_eq!(accessibility_faults(&browser), [""; 0]);
}

#[test]
fn the_text_is_there_without_scripts() {
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.devtools(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.open(&sample().page());
    assert_eq!(visible(&browser, "h1"), 1);
    assert_eq!(visible(&browser, ".needs-script"), 0);
}
