//! `giveaway explain`: reasons for records of a finished audit.

use std::fmt::Write as _;
use std::path::Path;

use giveaway::dataset::{Table, TableOptions};
use giveaway::report::Audit;
use giveaway::report::records::{Values, from_parquet};

use crate::sandbox::Sandbox;

/// Records whose labels are turned.
const TURNED: [usize; 6] = [20, 75, 130, 260, 333, 401];

/// Copies, with the other label, of these records; appended in this order.
const COPIED: [usize; 4] = [50, 151, 222, 444];

/// Breast Cancer with turned labels and copies across labels; ids are row numbers.
fn planted(path: &Path) {
    let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
    let names = table.column_names();
    let mut text = format!("{},y\n", names.join(","));
    let mut line = |row: usize, turned: bool| {
        for column in 0..names.len() {
            let _ = write!(text, "{},", table.feature_text(row, column));
        }
        let label = table.labels[row] as usize;
        let label = if turned { 1 - label } else { label };
        let _ = writeln!(text, "{}", table.classes[label]);
    };
    for row in 0..table.len() {
        line(row, TURNED.contains(&row));
    }
    for row in COPIED {
        line(row, true);
    }
    std::fs::write(path, text).unwrap();
}

const AUDIT: &str = "audit planted.csv --label y --models 32 --epochs 20 --hidden 32 \
                     --select all --run run --quiet";

/// An audit of these data, in `run`.
fn audited(sandbox: &Sandbox) {
    planted(&sandbox.path("planted.csv"));
    sandbox.run(AUDIT).succeeded();
}

fn column(path: &Path, name: &str) -> Values {
    let columns = from_parquet(std::fs::read(path).unwrap()).unwrap();
    columns
        .into_iter()
        .find(|(own, _)| own == name)
        .unwrap_or_else(|| panic!("no column {name}"))
        .1
}

fn audit(path: &Path) -> Audit {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn turned_labels_and_copies_across_labels_are_found() {
    let sandbox = Sandbox::new();
    audited(&sandbox);
    sandbox.run("explain run --quiet").succeeded();
    let Values::Text(reasons) = column(&sandbox.path("run/records.parquet"), "reason") else {
        panic!("reasons are texts");
    };
    let count = |rows: &mut dyn Iterator<Item = usize>, reason: &str| {
        rows.filter(|&row| reasons[row].as_deref() == Some(reason))
            .count()
    };
    let turned = count(&mut TURNED.into_iter(), "mislabelled or ambiguous");
    assert!(turned >= 5, "{turned} of {} turned labels", TURNED.len());
    let records = reasons.len();
    let mut copies = (records - COPIED.len()..records).chain(COPIED);
    assert_eq!(
        count(&mut copies, "near-duplicate across labels"),
        2 * COPIED.len()
    );
    let rest = (0..569).filter(|row| !TURNED.contains(row) && !COPIED.contains(row));
    let wrongly = count(&mut rest.clone(), "mislabelled or ambiguous");
    assert!(wrongly <= 25, "{wrongly} untouched records");
    assert_eq!(count(&mut rest.clone(), "near-duplicate across labels"), 0);

    let Values::Text(statements) = column(&sandbox.path("run/records.parquet"), "statement") else {
        panic!("statements are texts");
    };
    let of_copy = statements[records - 1].as_deref().unwrap();
    assert!(
        of_copy.contains("record 444") && of_copy.contains("is the same in every column"),
        "{of_copy}"
    );
}

/// The same bytes whatever the threads, and however often.
#[test]
fn an_explanation_is_reproducible_and_an_audit_takes_it_back() {
    let sandbox = Sandbox::new();
    audited(&sandbox);
    let before = std::fs::read(sandbox.path("run/records.parquet")).unwrap();
    let files = ["records.parquet", "report.json", "map.parquet"];
    let read = || files.map(|name| std::fs::read(sandbox.path(&format!("run/{name}"))).unwrap());
    sandbox.run("explain run --quiet --threads 1").succeeded();
    let first = read();
    sandbox.run("explain run --quiet --threads 3").succeeded();
    assert!(
        first == read(),
        "another number of threads, another explanation"
    );

    // Measures are compared with a leak of other models.
    let explanation = audit(&sandbox.path("run/report.json")).explanation.unwrap();
    assert_eq!(explanation.settings.measuring_models, 16);
    assert_eq!(explanation.settings.judging_models, 16);
    assert!(explanation.predictors.len() > 40);
    let total: usize = explanation.reasons.iter().map(|r| r.all).sum();
    assert_eq!(total, audit(&sandbox.path("run/report.json")).data.units);

    sandbox.run(AUDIT).succeeded();
    assert!(
        audit(&sandbox.path("run/report.json"))
            .explanation
            .is_none()
    );
    assert!(!sandbox.path("run/map.parquet").exists());
    assert!(before == std::fs::read(sandbox.path("run/records.parquet")).unwrap());
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let sandbox = Sandbox::new();
    audited(&sandbox);
    let refused = |rest: &str, code: i32, words: &[&str]| {
        sandbox
            .run(&format!("explain {rest} --quiet"))
            .refused(code, words);
    };
    refused("nowhere", 3, &["manifest.json", "giveaway audit"]);
    refused("run --by raduis", 2, &["--by", "mean_radius"]);
    refused("run --neighbours 0", 2, &["--neighbours"]);
    refused("run --neighbours 9999", 2, &["--neighbours"]);
    refused("run --models 1", 2, &["--models", "16"]);
    refused("run --models 17", 2, &["--models", "16"]);

    // A model's outputs that are gone, or another's.
    let signal = sandbox.path("run/signals/003.npy");
    let kept = std::fs::read(&signal).unwrap();
    std::fs::remove_file(&signal).unwrap();
    refused("run", 3, &["003.npy", "run the audit again"]);
    std::fs::copy(sandbox.path("run/signals/004.npy"), &signal).unwrap();
    refused("run", 3, &["003.npy", "does not answer as its file says"]);
    std::fs::write(&signal, kept).unwrap();

    // Data that moved, or changed.
    let data = sandbox.path("planted.csv");
    let text = std::fs::read_to_string(&data).unwrap();
    std::fs::remove_file(&data).unwrap();
    refused("run", 3, &["planted.csv"]);
    std::fs::write(&data, text.replacen("1.0", "1.5", 1)).unwrap();
    refused("run", 3, &["other input"]);
    std::fs::write(&data, text).unwrap();

    // Nothing of all that has harmed the result.
    sandbox.run("explain run --quiet --no-map").succeeded();
    assert!(!sandbox.path("run/map.parquet").exists());
    std::fs::remove_file(sandbox.path("run/report.json")).unwrap();
    refused("run", 3, &["not finished"]);
}

/// Every record of a group has a sentence of its own, and so has the record that stands for it.
#[test]
fn records_of_a_group_have_their_own_reasons() {
    let sandbox = Sandbox::new();
    let mut text = "x,z,person,y\n".to_owned();
    let mut state = 1_u32;
    for row in 0..120 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 16) / 65_536.0
        };
        let label = u8::from(row % 2 == 0);
        let _ = writeln!(
            text,
            "{:.4},{:.4},p{},{label}",
            next() + f64::from(label),
            next(),
            row / 3
        );
    }
    sandbox.write("people.csv", text);
    sandbox
        .run("audit people.csv --label y --group person --models 16 --epochs 5 --hidden none --select all --run run --quiet")
        .succeeded();
    sandbox.run("explain run --quiet").succeeded();
    let records = sandbox.path("run/records.parquet");
    let Values::Text(statements) = column(&records, "statement") else {
        panic!("statements are texts");
    };
    let Values::Text(classes) = column(&records, "class") else {
        panic!("classes are texts");
    };
    for (statement, class) in statements.iter().zip(&classes) {
        let (statement, class) = (statement.as_deref().unwrap(), class.as_deref().unwrap());
        assert!(
            statement.contains(&format!("to its label {class}")),
            "of class {class}: {statement}"
        );
        assert!(statement.contains("of 40 groups by leak"), "{statement}");
    }
    // They are of one person, but not alike.
    let Values::Number(copies) = column(&records, "near_copies_own_label") else {
        panic!("numbers are numbers");
    };
    assert!(copies.iter().sum::<f64>() < 30.0);
}

/// Audited records that no reference model was trained on, and data of a few records.
#[test]
fn what_is_not_known_is_left_out() {
    let sandbox = Sandbox::new();
    let mut text = "a,b,y\n".to_owned();
    for row in 0..90 {
        let _ = writeln!(text, "{},{},{}", row % 7, row % 11, row % 2);
    }
    sandbox.write("all.csv", &text);
    let few: Vec<&str> = text.lines().take(13).collect();
    sandbox.write("few.csv", few.join("\n"));
    sandbox
        .run("audit few.csv --label y --reference all.csv --models 12 --epochs 2 --hidden none --run apart --quiet")
        .code
        .unwrap();
    sandbox
        .run("audit few.csv --label y --models 12 --epochs 2 --hidden none --select all --run few --quiet")
        .code
        .unwrap();
    let apart = sandbox.run("explain apart --quiet");
    assert!(
        apart.stdout.contains("WHY THESE RECORDS"),
        "{}",
        apart.stderr
    );
    let Values::Text(statements) = column(&sandbox.path("apart/records.parquet"), "statement")
    else {
        panic!("statements are texts");
    };
    assert!(
        statements[0]
            .as_deref()
            .unwrap()
            .starts_with("reference models, none of which saw it, give "),
        "{statements:?}"
    );
    let few = sandbox.run("explain few --quiet");
    assert!(few.stdout.contains("WHY THESE RECORDS"), "{}", few.stderr);
    assert!(!few.stdout.contains("times its part"), "{}", few.stdout);
    let unknown = sandbox.run("explain few --record nobody --quiet");
    unknown.refused(2, &["--record", "nobody"]);
    let json = sandbox.run("explain few --record 3 --json --quiet");
    let facts: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(facts["id"], "3");
}
