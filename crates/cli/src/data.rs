//! `giveaway data`: lists, describes and fetches data sets.

use std::fmt::Write;
use std::process::ExitCode;

use giveaway::dataset::known::cache::{Check, Kind, Receipt, VARIABLE};
use giveaway::dataset::known::fetch::{self, Fetched, Step};
use giveaway::dataset::known::{self, Cache, KnownData, KnownFile};
use giveaway::dataset::shipped;
use giveaway::error::{Error, Result};
use giveaway::run::progress::Progress;
use serde_json::{Value, json};

use crate::data_arguments::{DataCommand, DataOptions, FetchOptions};
use crate::exit_code;
use crate::terminal::{Bars, print_data, print_line};

/// Does what was asked for; lists, where nothing was.
pub(crate) fn data(options: &DataOptions) -> Result<ExitCode> {
    let cache = match &options.cache {
        Some(folder) => Cache::at(folder),
        None => Cache::of_user()?,
    };
    let (text, json) = match &options.command {
        None | Some(DataCommand::List) => list(&cache),
        Some(DataCommand::Describe(asked)) => {
            let data = known::find(&asked.name)?;
            describe(data, &cache, options.cache.is_some())
        }
        Some(DataCommand::Fetch(asked)) => fetch(asked, &cache, options)?,
    };
    if options.json {
        let json = serde_json::to_string_pretty(&json)
            .map_err(|e| Error::unexpected(format!("cannot write JSON: {e}")))?;
        print_data(&format!("{json}\n"))?;
    } else {
        print_data(&text)?;
    }
    Ok(ExitCode::from(exit_code::DONE))
}

/// Where a data set is.
#[derive(Clone)]
enum Place {
    Shipped,
    Fetched(Receipt),
    /// Something is there that is no data set.
    Damaged,
    ToBeFetched,
}

impl Place {
    fn of(data: &KnownData, cache: &Cache) -> Self {
        if data.is_shipped() {
            return Self::Shipped;
        }
        match cache.receipt(data) {
            Ok(Some(receipt)) => Self::Fetched(receipt),
            Ok(None) => Self::ToBeFetched,
            Err(_) => Self::Damaged,
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Fetched(_) => "cached",
            Self::Damaged => "damaged",
            Self::ToBeFetched => "to-be-fetched",
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Shipped => "comes with the program",
            Self::Fetched(receipt) if receipt.kind == Kind::Copy => "cached, a copy",
            Self::Fetched(receipt) if receipt.files.iter().any(|f| f.check == Check::None) => {
                "cached, without a checksum"
            }
            Self::Fetched(_) => "cached",
            Self::Damaged => "cached, damaged: fetch it again",
            Self::ToBeFetched => "to be fetched",
        }
    }
}

/// A number with separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn list(cache: &Cache) -> (String, Value) {
    let mut rows = vec![["NAME", "RECORDS", "FEATURES", "CLASSES", "WHERE"].map(str::to_owned)];
    let mut entries = Vec::new();
    for data in known::known() {
        let place = Place::of(data, cache);
        rows.push([
            data.name.to_owned(),
            grouped(data.records as u64),
            grouped(data.features as u64),
            grouped(data.classes as u64),
            place.words().to_owned(),
        ]);
        entries.push(summary(data, &place));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 4] = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [name, records, features, classes, place] in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<0$}  {records:>1$}  {features:>2$}  {classes:>3$}  {place}",
            widths[0], widths[1], widths[2], widths[3]
        );
    }
    let _ = write!(
        text,
        "cache: {}\n\
         What one is: giveaway data describe NAME. Get it: giveaway data fetch NAME. Audit it: giveaway audit NAME\n",
        cache.root().display()
    );
    (text, Value::Array(entries))
}

/// What `list --json` says of a data set.
fn summary(data: &KnownData, place: &Place) -> Value {
    let mut entry = json!({
        "name": data.name, "title": data.title, "records": data.records, "columns": data.features,
        "classes": data.classes, "label": data.label, "licence": data.licence,
        "source": data.source, "where": place.key(),
    });
    if let Some(shipped) = shipped().iter().find(|shipped| shipped.name == data.name) {
        entry["changes"] = json!(shipped.changes);
        entry["source"] = json!(shipped.source);
    }
    if let Place::Fetched(receipt) = place {
        entry["verified"] = json!(is_verified(receipt));
    }
    entry
}

fn is_verified(receipt: &Receipt) -> bool {
    receipt.kind == Kind::Published && receipt.files.iter().all(|file| file.check != Check::None)
}

fn describe(data: &KnownData, cache: &Cache, other_cache: bool) -> (String, Value) {
    let place = Place::of(data, cache);
    let mut text = String::new();
    let shape = data
        .image
        .map_or_else(String::new, |[height, width, channels]| {
            format!(", images of {height} × {width} × {channels}")
        });
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}\n{}\n\n{}.\n\n  records   {}\n  features  {}{shape}\n  classes   {}\n  label     {}\n  licence   {}\n  cite      {}\n  source    {}\n",
        data.name,
        data.title,
        data.about,
        grouped(data.records as u64),
        grouped(data.features as u64),
        data.classes,
        data.label,
        data.licence,
        data.citation,
        data.source,
    );
    let mut entry = summary(data, &place);
    entry["about"] = json!(data.about);
    entry["citation"] = json!(data.citation);
    entry["image"] = json!(data.image);
    entry["files"] = data.files.iter().map(file_json).collect();
    if let Some(shipped) = shipped().iter().find(|shipped| shipped.name == data.name) {
        let _ = write!(text, "  changes   {}\n\n", shipped.changes);
    } else {
        text.push_str("\nFILES\n");
        for file in data.files {
            describe_file(&mut text, file);
        }
        let folder = cache.folder(data);
        entry["folder"] = json!(folder);
        let _ = writeln!(text, "\n{}: {}", place.words(), folder.display());
        if let Place::Fetched(receipt) = &place {
            entry["stored"] = json!(receipt);
            for file in &receipt.files {
                let _ = writeln!(
                    text,
                    "  {} ({})",
                    file.file,
                    check_words(file.check, receipt.kind)
                );
            }
        }
    }
    match &place {
        Place::Fetched(_) if other_cache => {
            let _ = writeln!(
                text,
                "For audits name this cache in the environment: {VARIABLE}={}",
                cache.root().display()
            );
        }
        Place::Shipped | Place::Fetched(_) => {}
        Place::Damaged | Place::ToBeFetched => {
            let _ = writeln!(text, "Get it: giveaway data fetch {}", data.name);
            if data.files.iter().any(|file| file.sha256.is_none()) {
                text.push_str("No checksum of it is published: fetch wants --sha256 HEX or --accept-unverified\n");
            }
        }
    }
    let audit = audit_line(data);
    let _ = writeln!(text, "Audit it: {audit}");
    entry["audit"] = json!(audit);
    (text, entry)
}

/// A command that audits the data set in minutes.
fn audit_line(data: &KnownData) -> String {
    // So that the pool has some 10,000 to 20,000 records.
    let per_class = 10_000 / data.classes;
    if data.records <= 20_000 {
        format!("giveaway audit {}", data.name)
    } else if data.is_shipped() {
        format!("giveaway audit {} --train-size 10000", data.name)
    } else {
        format!("giveaway audit {} --per-class {per_class}", data.name)
    }
}

fn file_json(file: &KnownFile) -> Value {
    let parts: Vec<Value> = file
        .parts
        .iter()
        .map(|part| json!({"path": part.path, "bytes": part.size, "sha256": part.sha256}))
        .collect();
    json!({
        "name": file.name, "urls": file.urls, "bytes": file.size, "sha256": file.sha256,
        "checksum_from": file.checksum_from, "inside": parts,
    })
}

fn describe_file(text: &mut String, file: &KnownFile) {
    let _ = writeln!(text, "  {}", file.name);
    for url in file.urls {
        let _ = writeln!(text, "    {url}");
    }
    match file.size {
        Some(size) => {
            let _ = writeln!(text, "    {} bytes", grouped(size));
        }
        None => text.push_str("    size not published\n"),
    }
    match file.sha256 {
        Some(sum) => {
            let _ = writeln!(text, "    SHA-256 {sum} ({})", file.checksum_from);
        }
        None => {
            let _ = writeln!(text, "    no checksum: {}", file.checksum_from);
        }
    }
    for part in file.parts {
        let sum = part
            .sha256
            .map_or(String::new(), |sum| format!(" SHA-256 {sum}"));
        let _ = writeln!(text, "    inside: {}{sum}", part.path);
    }
}

fn check_words(check: Check, kind: Kind) -> &'static str {
    match (check, kind) {
        (Check::Published, _) => "checksum as published",
        (Check::Given, Kind::Published) => "checksum as given",
        (Check::Given, Kind::Copy) => "a copy, checksum as given, counts as published",
        (Check::None, Kind::Published) => "no checksum to compare with, counts as published",
        (Check::None, Kind::Copy) => "a copy without checksum, counts as published",
    }
}

fn fetch(asked: &FetchOptions, cache: &Cache, options: &DataOptions) -> Result<(String, Value)> {
    let data = known::find(&asked.name)?;
    if data.is_shipped() && asked.from.is_none() {
        let text = format!(
            "{} comes with the program: there is nothing to fetch. Audit it: {}\n",
            data.name,
            audit_line(data)
        );
        return Ok((text, summary(data, &Place::Shipped)));
    }
    let bars = Bars::new(asked.quiet);
    let watch = |step: Step<'_>| match step {
        Step::Begin(file, bytes) => bars.begin(&format!("fetching {file}, in bytes"), bytes),
        Step::Advance(bytes) => bars.advance(bytes),
        Step::End => bars.end(),
    };
    let fetched = fetch::fetch(
        data,
        cache,
        &fetch::FetchOptions {
            from: asked.from.clone(),
            sha256: asked.sha256.clone(),
            accept_unverified: asked.accept_unverified,
        },
        &mut download,
        &watch,
    )?;
    Ok(fetched_words(
        data,
        &fetched,
        cache,
        options.cache.is_some(),
    ))
}

fn fetched_words(
    data: &KnownData,
    fetched: &Fetched,
    cache: &Cache,
    other_cache: bool,
) -> (String, Value) {
    let Fetched {
        folder,
        receipt,
        were_there,
    } = fetched;
    let mut text = format!("{} is in {}\n", data.name, folder.display());
    let mut files = Vec::new();
    for (file, &was_there) in receipt.files.iter().zip(were_there) {
        let before = if was_there { ", was there" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {}  {} bytes{before}, {}\n    SHA-256 {}",
            file.file,
            grouped(file.bytes),
            check_words(file.check, receipt.kind),
            file.sha256,
        );
        files.push(json!({
            "file": file.file, "bytes": file.bytes, "sha256": file.sha256, "check": file.check,
            "was_there": was_there,
        }));
    }
    if receipt.kind == Kind::Copy {
        print_line(
            "note: this is a copy in another format: its records, features and classes were counted, but nothing vouches for their values",
        );
    }
    let variable = if other_cache {
        format!("{VARIABLE}={} ", cache.root().display())
    } else {
        String::new()
    };
    let _ = writeln!(text, "Audit it: {variable}{}", audit_line(data));
    let json = json!({
        "name": data.name, "folder": folder, "kind": receipt.kind,
        "verified": is_verified(receipt), "files": files,
    });
    (text, json)
}

/// Gets what is at an address.
fn download(url: &str, to: &mut dyn std::io::Write, limit: u64) -> Result<()> {
    giveaway_remote::download(url, to, limit, &mut |_, _| {})
}
