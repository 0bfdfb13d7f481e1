//! What every page must hold, whatever is on it: asked of the browser, told as a list of
//! faults, empty where all is well.

use serde_json::{Value, json};

use crate::webdriver::Browser;

const AXE: &str = include_str!("axe-core/axe.min.js");

/// What the console complains about.
pub(crate) fn console_complaints(browser: &Browser) -> Vec<String> {
    let messages = browser.console().into_iter();
    messages
        .filter(|message| matches!(message.level.as_str(), "SEVERE" | "WARNING"))
        .map(|message| format!("{}: {}", message.level, message.text))
        .collect()
}

/// What axe-core finds of serious or critical impact: rule, element and why.
pub(crate) fn accessibility_faults(browser: &Browser) -> Vec<String> {
    // The page's content security policy binds the page and not the driver.
    browser.run(AXE, &[]);
    let found = browser.run(
        "return axe.run(document, {resultTypes: ['violations']}).then(r => ({
           passes: r.passes.length,
           violations: r.violations
             .filter(v => v.impact === 'serious' || v.impact === 'critical')
             .flatMap(v => v.nodes.map(n =>
               `${v.id} (${v.impact}): ${n.target} ${n.failureSummary} ${n.html.slice(0, 200)}`))
         }))",
        &[],
    );
    // Where no rule passed, none was tried.
    assert!(found["passes"].as_u64() > Some(0), "{found}");
    strings(&found["violations"])
}

/// How far the page is wider than its screen, in pixels, and which elements stick out.
pub(crate) fn sideways_scroll(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "const width = document.documentElement.clientWidth;
         const over = document.documentElement.scrollWidth - width;
         if (over <= 0) return [];
         const scrolls = e => e && e !== document.body && e !== document.documentElement &&
           (getComputedStyle(e).overflowX !== 'visible' || scrolls(e.parentElement));
         return [`${over} px too wide`].concat([...document.body.querySelectorAll('*')]
           .filter(e => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e.parentElement))
           .slice(0, 8)
           .map(e => e.outerHTML.slice(0, 160)))",
        &[],
    );
    strings(&found)
}

/// Elements of a selector that are seen: they take room and nothing hides them.
pub(crate) fn visible(browser: &Browser, selector: &str) -> u64 {
    let count = browser.run(
        "return [...document.querySelectorAll(arguments[0])].filter(e =>
           e.checkVisibility({visibilityProperty: true, opacityProperty: true}) &&
           e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().height > 0).length",
        &[json!(selector)],
    );
    count.as_u64().unwrap()
}

/// Words of figures that their frame cuts off.
pub(crate) fn cut_labels(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "return [...document.querySelectorAll('svg text')].flatMap(t => {
           const label = t.getBoundingClientRect();
           const frame = t.ownerSVGElement.getBoundingClientRect();
           const out = Math.max(frame.left - label.left, label.right - frame.right,
                                frame.top - label.top, label.bottom - frame.bottom);
           return label.width > 0 && out > 1
             ? [`${t.textContent} sticks out of ${t.ownerSVGElement.closest('[id]').id} by ${out.toFixed(0)} px`]
             : [];
         })",
        &[],
    );
    strings(&found)
}

/// What hostile data would have made of the page: elements and attributes that no page of ours
/// has.
pub(crate) fn injected(browser: &Browser) -> Vec<String> {
    let found = browser.run(
        "return [...document.querySelectorAll('*')].flatMap(e => {
           const faults = [];
           if (['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'LINK', 'BASE', 'FORM'].includes(e.tagName) &&
               !(e.getAttribute('src') || '').startsWith('data:'))
             faults.push(e.outerHTML.slice(0, 200));
           for (const {name, value} of e.attributes) {
             if (name.startsWith('on') || /^\\s*javascript:/i.test(value))
               faults.push(`${e.tagName} ${name}=${value}`);
           }
           return faults;
         })",
        &[],
    );
    strings(&found)
}

/// A list of texts that a script returned.
pub(crate) fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The text of the first element that a selector finds; nothing where there is none.
pub(crate) fn text(browser: &Browser, selector: &str) -> String {
    let found = browser.run(
        "const e = document.querySelector(arguments[0]); return e ? e.textContent : ''",
        &[json!(selector)],
    );
    found.as_str().unwrap().to_owned()
}
