//! A real Chromium, driven through chromedriver by the W3C's protocol for that with
//! Chromium's additions: logs and the protocol of its developer tools.
//!
//! Whatever goes wrong panics, as in any test; then too browser, driver and profile go.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// Where this is set to 1, a missing browser fails the tests rather than skips them.
const REQUIRED: &str = "GIVEAWAY_REQUIRE_BROWSER";

/// What the browser is called, in the order of preference.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// How the protocol calls a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Longest that a page may take for anything that is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Keys without a character, as the protocol names them.
pub(crate) mod key {
    pub(crate) const TAB: char = '\u{e004}';
    pub(crate) const ENTER: char = '\u{e007}';
    pub(crate) const ESCAPE: char = '\u{e00c}';
    pub(crate) const SPACE: char = ' ';
}

/// A browser of its own for each test, without anybody's profile; gone when dropped.
pub(crate) struct Browser {
    driver: Child,
    agent: Agent,
    session: String,
    /// The browser's process, to be ended if it survives its session.
    process: Option<u64>,
    /// What all of them write to; removed last.
    home: TempDir,
}

/// A line of the browser's console.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) level: String,
    pub(crate) text: String,
}

impl Browser {
    /// Starts browser and driver. `None` where they are not installed: then the test is
    /// skipped, and says so on standard error, past the capture of the test harness.
    ///
    /// # Panics
    /// If they are not installed but required, or do not start.
    pub(crate) fn start() -> Option<Self> {
        let program = BROWSERS.iter().find_map(|name| on_path(name));
        let driver = on_path("chromedriver");
        let (Some(program), Some(driver)) = (&program, &driver) else {
            let missing = match (&program, &driver) {
                (None, None) => "chromium and chromedriver",
                (None, _) => "chromium",
                _ => "chromedriver",
            };
            let why = format!(
                "no {missing} found, so the page was not tried in a browser; \
                 Debian and Ubuntu: apt-get install chromium chromium-driver"
            );
            assert!(
                std::env::var_os(REQUIRED).is_none_or(|value| value != "1"),
                "{REQUIRED}=1, but {why}"
            );
            let test = std::thread::current();
            let test = test.name().unwrap_or("a test");
            // println! would be captured, and a test that passes shows nothing.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
            return None;
        };
        Some(Self::launch(program, driver))
    }

    fn launch(program: &Path, driver: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            // Or empty folders of the browser stay behind among everybody's.
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = announced_port(&mut driver);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A proxy of the environment has no business between us and our own machine.
            .proxy(None)
            .timeout_global(Some(2 * PATIENCE))
            .build()
            .new_agent();
        let mut browser = Self {
            driver,
            agent,
            session: format!("http://127.0.0.1:{port}/session"),
            process: None,
            home,
        };
        let profile = browser.home.path().join("profile");
        let made = browser.post(
            "",
            &json!({"capabilities": {"alwaysMatch": {
                "unhandledPromptBehavior": "ignore",
                "goog:chromeOptions": {
                    "binary": program,
                    "args": [
                        "--headless=new",
                        // Containers and root have no sandbox; what is opened is our own file.
                        "--no-sandbox",
                        "--disable-gpu",
                        "--disable-dev-shm-usage",
                        "--no-first-run",
                        "--disable-extensions",
                        "--disable-background-networking",
                        "--window-size=1280,900",
                        "about:blank",
                        format!("--user-data-dir={}", profile.display()),
                    ],
                },
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "timeouts": {"script": PATIENCE.as_millis() as u64},
            }}}),
        );
        let session = made["sessionId"].as_str().unwrap().to_owned();
        browser.process = made["capabilities"]["goog:processID"].as_u64();
        browser.session = format!("{}/{session}", browser.session);
        // The page of a new tab asks for this and that; none of it is ours.
        browser.open_address("about:blank");
        browser.requests();
        browser.console();
        browser
    }

    /// Opens a file and waits until it is loaded.
    pub(crate) fn open(&self, page: &Path) {
        self.open_address(&file_url(page));
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open_address(&self, address: &str) {
        self.post("/url", &json!({ "url": address }));
    }

    /// Runs a script in the page, the body of a function of `arguments`, and returns what it
    /// returns; a promise is waited for.
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post(
            "/execute/sync",
            &json!({"script": script, "args": arguments}),
        )
    }

    /// Waits until the expression is true in the page.
    pub(crate) fn wait_until(&self, expression: &str) {
        let start = Instant::now();
        while self.run(&format!("return Boolean({expression})"), &[]) != json!(true) {
            assert!(start.elapsed() < PATIENCE, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks in the middle of the first element of a CSS selector, scrolled into view; the
    /// driver refuses if something else is in front of it.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the first element of a CSS selector.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses and releases keys one after another, wherever the focus is.
    pub(crate) fn press(&self, keys: &[char]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| {
                let stroke = |kind: &str| json!({"type": kind, "value": key});
                [stroke("keyDown"), stroke("keyUp")]
            })
            .collect();
        self.post(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}),
        );
    }

    /// Whether a dialog of the browser (`alert` and the like) is open.
    pub(crate) fn has_dialog(&self) -> bool {
        let answer = self.get("/alert/text");
        match answer["error"].as_str() {
            None => true,
            Some("no such alert") => false,
            Some(_) => panic!("{answer}"),
        }
    }

    /// Agrees to the dialog that is open.
    pub(crate) fn accept_dialog(&self) {
        self.post("/alert/accept", &json!({}));
    }

    /// What stands on the console since the last call.
    pub(crate) fn console(&self) -> Vec<Message> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let message = |entry: &Value| Message {
            level: text(&entry["level"]),
            text: text(&entry["message"]),
        };
        log.as_array().unwrap().iter().map(message).collect()
    }

    /// The addresses that were asked for since the last call. What a page holds itself
    /// (`data:`, `blob:`) is no request.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "performance"}));
        let address = |entry: &Value| -> Option<String> {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &entry["message"];
            let address = match event["method"].as_str()? {
                "Network.requestWillBeSent" => event["params"]["request"]["url"].as_str()?,
                "Network.webSocketCreated" => event["params"]["url"].as_str()?,
                _ => return None,
            };
            let inside = address.starts_with("data:") || address.starts_with("blob:");
            (!inside).then(|| address.to_owned())
        };
        log.as_array().unwrap().iter().filter_map(address).collect()
    }

    /// Sends a command of the developer tools' protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// The system asks for a dark or light appearance.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"media": "", "features": features}),
        );
    }

    /// Shows the page as it is printed, on paper that is so many pixels wide; `None` ends it.
    pub(crate) fn emulate_print(&self, width: Option<u32>) {
        let media = if width.is_some() { "print" } else { "" };
        self.devtools("Emulation.setEmulatedMedia", &json!({ "media": media }));
        // Paper has no scroll bar.
        let hidden = width.is_some();
        self.devtools(
            "Emulation.setScrollbarsHidden",
            &json!({ "hidden": hidden }),
        );
        match width {
            Some(width) => self.screen(width, 1000, false),
            None => drop(self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}))),
        }
    }

    /// Gives the page a screen of this size, which may be smaller than any window.
    pub(crate) fn screen(&self, width: u32, height: u32, mobile: bool) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
    }

    /// A picture of the whole page, as PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({}));
        let mut clip = metrics["cssContentSize"].clone();
        clip["scale"] = json!(1);
        let picture = self.devtools(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// A picture of the window, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let picture = self.get("/screenshot");
        STANDARD.decode(picture.as_str().unwrap()).unwrap()
    }

    /// The page as PDF.
    pub(crate) fn print(&self) -> Vec<u8> {
        let printed = self.post("/print", &json!({"background": true}));
        STANDARD.decode(printed.as_str().unwrap()).unwrap()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "/element",
            &json!({"using": "css selector", "value": selector}),
        );
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.agent.get(self.address(path)).call();
        value_of(answer.unwrap())
    }

    /// The answer to a command that must succeed.
    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .agent
            .post(self.address(path))
            .header("content-type", "application/json")
            .send(body.to_string());
        let value = value_of(answer.unwrap());
        assert!(value.get("error").is_none(), "{path} {body}\n{value:#}");
        value
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.session)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // A browser that hangs outlives its session.
        if let Some(process) = self.process {
            let _ = Command::new("kill")
                .args(["-KILL", &process.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// The value of an answer; of a failure, the error.
fn value_of(mut answer: ureq::http::Response<ureq::Body>) -> Value {
    let text = answer
        .body_mut()
        .with_config()
        .limit(1 << 28)
        .read_to_string()
        .unwrap();
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    answer["value"].take()
}

/// The port that the driver says it listens on.
fn announced_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.split_once("was started successfully on port ")?;
        Some(port.trim_end_matches('.').parse().unwrap())
    });
    // The driver writes on while it runs, and must not find its pipe closed or full.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says on which port it listens")
}

/// A program of this name in one of the folders of PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The address of a file; what is not plain is percent-encoded.
pub(crate) fn file_url(path: &Path) -> String {
    use std::fmt::Write;
    let mut url = "file://".to_owned();
    for byte in path.to_str().unwrap().bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            url.push(byte.into());
        } else {
            write!(url, "%{byte:02X}").unwrap();
        }
    }
    url
}
