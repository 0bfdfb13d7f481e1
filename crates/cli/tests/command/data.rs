//! `giveaway data`, and audits of what it fetched.

use std::fmt::Write;

use crate::sandbox::{Finished, Sandbox, finished, quick};

impl Sandbox {
    /// The command with a cache of its own.
    fn cached(&self, line: &str) -> Finished {
        let output = self
            .command(line)
            .env("GIVEAWAY_CACHE", self.path("cache"))
            .output()
            .unwrap();
        finished(line, output)
    }
}

/// Rows as Location-30 is published, with values of our own.
fn locations(records: usize) -> String {
    let mut text = String::new();
    for record in 0..records {
        let class = record % 30;
        write!(text, "{}", class + 1).unwrap();
        for feature in 0..446 {
            let visited = (feature * 7 + record / 30 * 3) % 31 == class || feature % 30 == class;
            text.push_str(if visited { ",1" } else { ",0" });
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_list_tells_where_each_data_set_is() {
    let sandbox = Sandbox::new();
    let list = sandbox.cached("data");
    list.succeeded();
    for name in [
        "adult",
        "breast-cancer",
        "mnist",
        "fashion-mnist",
        "cifar-10",
        "purchase-100",
    ] {
        assert!(list.stdout.contains(name), "{}", list.stdout);
    }
    assert!(list.stdout.contains("48,842"), "{}", list.stdout);
    assert_eq!(list.stdout, sandbox.cached("data list").stdout);
    let json = sandbox.cached("data list --json");
    let entries: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).unwrap();
    for entry in &entries {
        assert!(
            entry["licence"]
                .as_str()
                .is_some_and(|licence| !licence.is_empty())
        );
        assert!(
            entry["source"]
                .as_str()
                .is_some_and(|source| source.contains("http"))
        );
    }
    let mnist = entries
        .iter()
        .find(|entry| entry["name"] == "mnist")
        .unwrap();
    assert_eq!(
        (&mnist["records"], &mnist["where"]),
        (&70_000.into(), &"to-be-fetched".into())
    );
    assert!(!sandbox.path("cache").exists());
}

#[test]
fn a_description_has_licence_files_and_checksums() {
    let sandbox = Sandbox::new();
    let text = sandbox.cached("data describe cifar-10").stdout;
    for said in [
        "60,000",
        "images of 32 × 32 × 3",
        "cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "170,052,171 bytes",
        "Krizhevsky",
        "giveaway audit cifar-10",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let unverified = sandbox.cached("data describe texas-100").stdout;
    assert!(unverified.contains("--accept-unverified"), "{unverified}");
    let json = sandbox.cached("data describe mnist --json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][1]["bytes"], 28_881);
    let unknown = sandbox.cached("data describe imagenet");
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("those that are: adult"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn what_is_shipped_need_not_be_fetched() {
    let sandbox = Sandbox::new();
    let done = sandbox.cached("data fetch adult");
    done.succeeded();
    assert!(done.stdout.contains("comes with the program"));
    sandbox.write("x.csv", "a,income\n1,2\n");
    assert_eq!(
        sandbox.cached("data fetch adult --from x.csv").code,
        Some(2)
    );
}

#[test]
fn what_cannot_be_fetched_is_named_with_its_checksum() {
    let sandbox = Sandbox::new();
    sandbox.write("train-images-idx3-ubyte.gz", b"not the file");
    sandbox.write("cifar.tar.gz", [0x1f, 0x8b, 8, 0]);
    for line in [
        "mnist --from .",
        "cifar-10 --from cifar.tar.gz",
        "mnist --from nowhere",
    ] {
        let refused = sandbox.cached(&format!("data fetch {line}"));
        assert_eq!(refused.code, Some(3), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
    let refused = sandbox.cached("data fetch location-30");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("no checksum"), "{}", refused.stderr);
    let refused = sandbox.cached("audit mnist");
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.stderr.contains("giveaway data fetch mnist"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_local_copy_is_fetched_and_audited_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("bangkok", locations(5010));
    let done = sandbox.cached("data fetch location-30 --from bangkok --accept-unverified --json");
    done.succeeded();
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&json["verified"], &json["files"][0]["check"]),
        (&false.into(), &"none".into())
    );
    let list = sandbox.cached("data list").stdout;
    assert!(list.contains("cached, without a checksum"), "{list}");
    let line = quick("location-30 --per-class 10 --run run --json");
    let audit = sandbox.cached(&line);
    audit.succeeded();
    let report: serde_json::Value = serde_json::from_str(&audit.stdout).unwrap();
    assert_eq!(report["data"]["records"], 300);
    assert_eq!(report["data"]["records_in_file"], 5010);
    assert_eq!(report["data"]["name"], "location-30");
    let configuration = std::fs::read_to_string(sandbox.path("run/run.toml")).unwrap();
    assert!(
        configuration.contains("cached:location-30"),
        "{configuration}"
    );
    // A file of the same name comes first, and a changed cache is seen.
    std::fs::write(
        sandbox.path("cache/location-30/bangkok"),
        locations(5010).replace(",1,1", ",1,0"),
    )
    .unwrap();
    let refused = sandbox.cached(&quick("location-30 --per-class 10 --run other"));
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.stderr.contains("changed since it was fetched"),
        "{}",
        refused.stderr
    );
    // Too few records are not the data set, and the cache may be named.
    sandbox.write("bangkok", locations(5000));
    let refused = sandbox
        .cached("data fetch location-30 --from bangkok --accept-unverified --cache elsewhere");
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.stderr.contains("5000 records"),
        "{}",
        refused.stderr
    );
    assert!(!sandbox.path("elsewhere/location-30/receipt.json").exists());
}

#[test]
fn a_batch_of_cifar_is_audited_as_images() {
    let sandbox = Sandbox::new();
    let batch = |records: usize| -> Vec<u8> {
        (0..records)
            .flat_map(|r| {
                let label = (r % 10) as u8;
                std::iter::once(label).chain((0..3072).map(move |i| (i * (r + 3) % 256) as u8))
            })
            .collect()
    };
    sandbox.write("data_batch_1.bin", batch(80));
    let report = sandbox.report("data_batch_1.bin --convolutions 4x5 --run run");
    assert_eq!(
        (&report["data"]["records"], &report["data"]["features"]),
        (&80.into(), &3072.into())
    );
    assert_eq!(report["data"]["classes"].as_array().unwrap().len(), 10);
    sandbox.write("cut.bin", &batch(80)[..3073 * 80 - 1]);
    let refused = sandbox.audit("cut.bin");
    assert_eq!(refused.code, Some(3));
    assert!(
        refused.stderr.contains("no whole number of records"),
        "{}",
        refused.stderr
    );
}

#[test]
fn classes_can_be_balanced() {
    let sandbox = Sandbox::new();
    let report = sandbox.report("breast-cancer --per-class 40 --run run");
    assert_eq!(report["data"]["records"], 80);
    let again = sandbox.report("breast-cancer --per-class 40 --run again");
    assert_eq!(report["data"], again["data"]);
    let ids = |run: &str| std::fs::read(sandbox.path(run).join("data.parquet")).unwrap();
    assert_eq!(ids("run"), ids("again"));
    sandbox.report("breast-cancer --per-class 40 --seed 5 --run other");
    assert_ne!(ids("run"), ids("other"));
    for (line, said) in [
        ("breast-cancer --per-class 213", "class malignant has 212"),
        ("breast-cancer --per-class 0", "leave none"),
        (
            "breast-cancer --per-class 20 --train-size 30",
            "--train-size",
        ),
        ("breast-cancer --per-class 20 --group mean_radius", "groups"),
    ] {
        let refused = sandbox.audit(line);
        assert_eq!(refused.code, Some(2), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{line}: {}", refused.stderr);
    }
}
