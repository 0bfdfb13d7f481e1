//! Bad input: what is wrong, where, and what to do; the documented exit code; and nothing
//! half-written.

use std::fmt::Write;
use std::process::Command;

use crate::sandbox::{Sandbox, finished, quick};

/// Records of two classes: an id, two numbers, a category and the class.
fn table(records: usize) -> String {
    let mut text = "id,age,income,city,outcome\n".to_owned();
    for i in 0..records {
        let city = ["Bern", "Rome", "Oslo"][i % 3];
        let class = if (i * 7 + i / 5) % 3 == 0 {
            "yes"
        } else {
            "no"
        };
        let (age, income) = (20 + i * 13 % 50, (i * i * 31) % 997);
        writeln!(text, "p{i},{age},{income}.5,{city},{class}").unwrap();
    }
    text
}

fn with_table() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", table(120));
    sandbox
}

const PEOPLE: &str = "people.csv --label outcome --id id";

/// Outputs of a target on the 120 records: probabilities of the two classes.
fn outputs(records: usize) -> String {
    let mut text = String::new();
    for i in 0..records {
        let p = (i * 37 % 101) as f64 / 101.0;
        writeln!(text, "{p},{}", 1.0 - p).unwrap();
    }
    text
}

/// An NPY file of float64.
fn npy(shape: &str, values: &[f64]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for value in values {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// The audit is refused, and no result is anywhere.
fn refused(sandbox: &Sandbox, rest: &str, code: i32, words: &[&str]) {
    sandbox.audit(rest).refused(code, words);
    sandbox.holds_no_result();
}

#[test]
fn the_table_of_these_tests_is_accepted() {
    let sandbox = with_table();
    sandbox.audit(PEOPLE).succeeded();
}

#[test]
fn files_that_are_not_there_or_no_data() {
    let sandbox = with_table();
    refused(
        &sandbox,
        "none.csv --label y",
        3,
        &["none.csv", "check the path"],
    );
    refused(
        &sandbox,
        ". --label y",
        3,
        &["name a file, not a directory"],
    );
    sandbox.write("empty.csv", "");
    refused(
        &sandbox,
        "empty.csv --label y",
        3,
        &["empty.csv", "the file is empty"],
    );
    sandbox.write("header.csv", "a,b,y\n");
    refused(
        &sandbox,
        "header.csv --label y",
        3,
        &["header.csv", "no rows"],
    );
    sandbox.write("ragged.csv", "a,b,y\n1,2,u\n3,4\n");
    refused(
        &sandbox,
        "ragged.csv --label y",
        3,
        &["ragged.csv", "line 3"],
    );
    sandbox.write("latin.csv", b"a,y\ncaf\xe9,u\nx,v\n");
    refused(&sandbox, "latin.csv --label y", 3, &["latin.csv", "UTF-8"]);
    refused(
        &sandbox,
        &format!("{PEOPLE} --reference other.csv"),
        3,
        &["other.csv", "check the path"],
    );
    refused(
        &sandbox,
        "audlt",
        3,
        &["audlt", "check the path", "adult and breast-cancer"],
    );
    let path = sandbox.audit("./audlt.csv --label y");
    path.refused(3, &["check the path"]);
    assert!(!path.stderr.contains("breast-cancer"), "{}", path.stderr);
    for (line, file) in [
        ("--target-outputs none.npy", "none.npy"),
        ("--config none.toml", "none.toml"),
    ] {
        refused(
            &sandbox,
            &format!("{PEOPLE} {line}"),
            3,
            &[file, "check the path"],
        );
    }
}

#[test]
fn columns_that_are_not_there() {
    let sandbox = with_table();
    refused(
        &sandbox,
        "people.csv --label outcom",
        3,
        &[
            "people.csv",
            "--label",
            "`outcom`",
            "did you mean",
            "outcome",
            "`age`, `income`, `city`",
        ],
    );
    refused(
        &sandbox,
        "people.csv",
        2,
        &["give --label COLUMN", "outcome"],
    );
    let far = sandbox.audit("people.csv --label readmitted");
    far.refused(3, &["`readmitted`", "the columns are"]);
    assert!(!far.stderr.contains("did you mean"), "{}", far.stderr);
    for option in ["id", "group", "drop", "numeric", "categorical"] {
        refused(
            &sandbox,
            &format!("people.csv --label outcome --{option} ages"),
            3,
            &[&format!("--{option}"), "`ages`", "age"],
        );
    }
}

#[test]
fn labels_that_are_no_classes() {
    let sandbox = Sandbox::new();
    sandbox.write("one.csv", table(60).replace(",yes", ",no"));
    refused(
        &sandbox,
        "one.csv --label outcome",
        3,
        &["one.csv", "one class only", "`no`"],
    );
    sandbox.write("people.csv", table(60));
    refused(
        &sandbox,
        "people.csv --label income",
        3,
        &["regression target", "--label"],
    );
    sandbox.write("gap.csv", table(60).replacen(",yes", ",", 1));
    refused(
        &sandbox,
        "gap.csv --label outcome",
        3,
        &["`outcome` has no value", "line 2"],
    );
}

#[test]
fn values_that_are_not_finite() {
    let sandbox = Sandbox::new();
    sandbox.write("infinite.csv", table(60).replacen(",31.5,", ",inf,", 1));
    refused(
        &sandbox,
        "infinite.csv --label outcome --id id",
        3,
        &[
            "infinite.csv",
            "line 3",
            "`income`",
            "`inf` is not finite",
            "--drop",
        ],
    );
    let mut values: Vec<f64> = (0..120).map(f64::from).collect();
    let labels: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
    sandbox.write("y.npy", npy("(40,)", &labels));
    values[34] = f64::NAN;
    sandbox.write("x.npy", npy("(40, 3)", &values));
    refused(
        &sandbox,
        "x.npy --labels-file y.npy",
        3,
        &["x.npy", "row 12, column 2", "`NaN` is not finite"],
    );
    values[34] = 1e300;
    sandbox.write("x.npy", npy("(40, 3)", &values));
    refused(
        &sandbox,
        "x.npy --labels-file y.npy",
        3,
        &[
            "x.npy",
            "row 12, column 2",
            "`1e300` is too large for float32",
        ],
    );
    values[34] = 0.0;
    sandbox.write("x.npy", npy("(40, 3)", &values));
    sandbox.audit("x.npy --labels-file y.npy").succeeded();
    sandbox.write("y.npy", npy("(39,)", &labels[..39]));
    sandbox
        .audit("x.npy --labels-file y.npy")
        .refused(3, &["40 records and 39"]);
}

#[test]
fn identifiers_that_occur_twice() {
    let sandbox = Sandbox::new();
    sandbox.write("twice.csv", table(60).replace("p41,", "p17,"));
    refused(
        &sandbox,
        "twice.csv --label outcome --id id",
        3,
        &["twice.csv", "`p17`", "occurs twice", "line 19", "line 43"],
    );
}

#[test]
fn categories_that_no_reference_record_has() {
    let sandbox = with_table();
    sandbox.write("strange.csv", table(60).replacen(",Rome,", ",Atlantis,", 1));
    let line = "strange.csv --label outcome --id id --reference people.csv";
    refused(
        &sandbox,
        line,
        3,
        &[
            "strange.csv",
            "row 2",
            "`city`",
            "`Atlantis`",
            "--unknown-categories ignore",
        ],
    );
    sandbox
        .audit(&format!("{line} --unknown-categories ignore --run run"))
        .succeeded();

    sandbox.write("class.csv", table(60).replacen(",yes", ",maybe", 1));
    sandbox
        .audit("class.csv --label outcome --id id --reference people.csv")
        .refused(3, &["class.csv", "maybe"]);
    sandbox.write("columns.csv", table(60).replace("income", "salary"));
    sandbox
        .audit("columns.csv --label outcome --id id --reference people.csv")
        .refused(3, &["columns.csv", "income"]);
}

#[test]
fn fewer_models_than_the_test_needs() {
    let sandbox = with_table();
    refused(
        &sandbox,
        &format!("{PEOPLE} --models 10"),
        2,
        &["--models", "at least 12"],
    );
    refused(&sandbox, &format!("{PEOPLE} --models 0"), 2, &["--models"]);
    refused(
        &sandbox,
        &format!("{PEOPLE} --models 13"),
        2,
        &["13", "even number"],
    );
    // Trained on 38 of 40 records each, the 6 models that test leave no record out thrice.
    sandbox.write("forty.csv", table(40));
    sandbox.write("outputs.csv", outputs(40));
    let members: String = (0..38).fold(String::new(), |text, i| text + &format!("p{i}\n"));
    sandbox.write("members.txt", members);
    refused(
        &sandbox,
        "forty.csv --label outcome --id id --target-outputs outputs.csv --members members.txt",
        2,
        &["--models", "6 reference models that test", "train more"],
    );
}

#[test]
fn a_refused_test_leaves_the_result_of_the_one_before() {
    let sandbox = Sandbox::new();
    sandbox.write("forty.csv", table(40));
    sandbox.write("outputs.csv", outputs(40));
    let members: String = (0..38).fold(String::new(), |text, i| text + &format!("p{i}\n"));
    sandbox.write("members.txt", members);
    let line = "forty.csv --label outcome --id id --target-outputs outputs.csv \
         --members members.txt --run run";
    sandbox.audit(&format!("{line} --null ecdf")).succeeded();
    let before = sandbox.contents("run");
    sandbox
        .audit(&format!("{line} --null t"))
        .refused(2, &["--models", "train more"]);
    assert!(before == sandbox.contents("run"));
}

#[test]
fn directories_of_other_runs_and_of_none() {
    let sandbox = with_table();
    let line = format!("{PEOPLE} --run run");
    sandbox.audit(&line).succeeded();
    let before = sandbox.contents("run");
    for (rest, words) in [
        (format!("{line} --seed 9"), "other settings"),
        (format!("{line} --models 14"), "other settings"),
        ("breast-cancer --run run".to_owned(), "other input (data)"),
    ] {
        let other = sandbox.audit(&rest);
        other.refused(3, &["run: ", words, "--run"]);
        assert!(before == sandbox.contents("run"), "{rest} changed the run");
    }
    std::fs::create_dir(sandbox.path("thesis")).unwrap();
    sandbox.write("thesis/chapter.tex", "text");
    sandbox
        .audit(&format!("{PEOPLE} --run thesis"))
        .refused(3, &["thesis", "not empty", "holds no run", "--run"]);
    assert_eq!(
        std::fs::read_dir(sandbox.path("thesis")).unwrap().count(),
        1
    );
    // an empty one is welcome
    std::fs::create_dir(sandbox.path("new")).unwrap();
    sandbox.audit(&format!("{PEOPLE} --run new")).succeeded();
}

#[test]
fn damage_inside_a_run_directory() {
    let sandbox = with_table();
    let line = format!("{PEOPLE} --run run");
    sandbox.audit(&line).succeeded();
    let expected = sandbox.contents("run");

    let signals = std::fs::read(sandbox.path("run/signals/004.npy")).unwrap();
    sandbox.write("run/signals/004.npy", &signals[..signals.len() - 7]);
    sandbox
        .audit(&line)
        .refused(3, &["004.npy", "not a signal file", "delete the file"]);
    std::fs::remove_file(sandbox.path("run/signals/004.npy")).unwrap();
    sandbox.audit(&line).succeeded();
    assert!(expected == sandbox.contents("run"));

    let manifest = std::fs::read_to_string(sandbox.path("run/manifest.json")).unwrap();
    sandbox.write("run/manifest.json", &manifest[..manifest.len() / 2]);
    sandbox
        .audit(&line)
        .refused(3, &["manifest.json", "not a manifest", "--run"]);
    sandbox.write(
        "run/manifest.json",
        manifest.replace("\"format_version\": 1", "\"format_version\": 2"),
    );
    sandbox
        .audit(&line)
        .refused(3, &["format version 2", "version 1"]);
}

#[test]
fn directories_that_cannot_be_written() {
    let sandbox = with_table();
    // Nobody, not even root, can make a directory below a file.
    sandbox
        .audit(&format!("{PEOPLE} --run people.csv/run"))
        .refused(
            3,
            &[
                "people.csv/run",
                "cannot make the run directory",
                "name a directory",
            ],
        );
    sandbox.holds_no_result();
    sandbox
        .audit(&format!("{PEOPLE} --run people.csv"))
        .refused(
            3,
            &[
                "people.csv",
                "cannot make the run directory",
                "give another name",
            ],
        );
    let long = "x".repeat(300);
    sandbox
        .audit(&format!("{PEOPLE} --run {long}"))
        .refused(3, &[&long, "give another, shorter one"]);
    assert_eq!(
        std::fs::read_to_string(sandbox.path("people.csv")).unwrap(),
        table(120)
    );
}

#[cfg(unix)]
#[test]
fn a_directory_without_write_permission() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = with_table();
    let closed = sandbox.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    let may_write_all_the_same = std::fs::write(closed.join("probe"), "").is_ok();
    if !may_write_all_the_same {
        refused(
            &sandbox,
            &format!("{PEOPLE} --run closed/run"),
            3,
            &["closed/run", "ermission denied", "check the permissions"],
        );
    }
    // or the sandbox cannot be removed
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn damaged_parquet_and_gzip() {
    let sandbox = with_table();
    sandbox.audit(&format!("{PEOPLE} --run run")).succeeded();
    let whole = std::fs::read(sandbox.path("run/data.parquet")).unwrap();
    std::fs::remove_dir_all(sandbox.path("run")).unwrap();
    for length in [4, 8, 100, whole.len() / 2, whole.len() - 1] {
        sandbox.write("cut.parquet", &whole[..length]);
        refused(
            &sandbox,
            "cut.parquet --label outcome",
            3,
            &["cut.parquet", "damaged", "copy or download"],
        );
    }
    sandbox.write("no.parquet", "this is text");
    sandbox
        .audit("no.parquet --label outcome")
        .refused(3, &["no.parquet"]);
    sandbox.write("cut.csv.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1]);
    refused(&sandbox, "cut.csv.gz --label y", 3, &["cut.csv.gz", "gzip"]);
}

#[test]
fn outputs_of_a_target_that_do_not_fit() {
    let sandbox = with_table();
    let given = |content: &str, words: &[&str]| {
        sandbox.write("outputs.csv", content);
        let mut all = vec!["outputs.csv"];
        all.extend(words);
        refused(
            &sandbox,
            &format!("{PEOPLE} --target-outputs outputs.csv"),
            3,
            &all,
        );
    };
    given(
        &outputs(119),
        &["119 rows", "120 records", "one row for each"],
    );
    given(&outputs(121), &["121 rows", "120 records"]);
    given(
        &"0.2,0.3,0.5\n".repeat(120),
        &["3 columns", "2 classes", "no, yes"],
    );
    given(&"0.2,oops\n".repeat(120), &["oops"]);
    given(&"1.2\n".repeat(120), &["single column", "probabilities"]);
    given("", &["empty"]);
    let mut values = vec![0.5; 240];
    values[77] = f64::NAN;
    sandbox.write("outputs.npy", npy("(120, 2)", &values));
    let line = format!("{PEOPLE} --target-outputs outputs.npy");
    refused(
        &sandbox,
        &line,
        3,
        &["outputs.npy", "row 39, column 2", "NaN"],
    );
    values[77] = 3.0;
    sandbox.write("outputs.npy", npy("(120, 2)", &values));
    refused(
        &sandbox,
        &format!("{line} --output-kind probabilities"),
        3,
        &["outputs.npy", "between 0 and 1", "--output-kind logits"],
    );
    refused(
        &sandbox,
        &format!("{line} --train-size 20"),
        2,
        &["--train-size", "--target-outputs"],
    );
}

#[test]
fn members_that_cannot_be_told() {
    let sandbox = with_table();
    sandbox.write("outputs.csv", outputs(120));
    let given = |content: &str, words: &[&str]| {
        sandbox.write("members.txt", content);
        let mut all = vec!["members.txt"];
        all.extend(words);
        let line = format!("{PEOPLE} --target-outputs outputs.csv --members members.txt");
        refused(&sandbox, &line, 3, &all);
    };
    given("p1\np2\nq3\n", &["line 3", "q3", "id"]);
    given("q1\np2\n", &["line 1", "q1"]);
    given("p1\np2\np1\n", &["line 3", "p1", "second time"]);
    given("", &["names no training record"]);
    given("id\n", &["names no training record"]);
    sandbox.write("members.txt", "1\n2\n200\n");
    refused(
        &sandbox,
        "people.csv --label outcome --drop id --target-outputs outputs.csv --members members.txt",
        3,
        &["members.txt", "line 3", "200", "counted from 0"],
    );
    sandbox.write("members.npy", npy("(3,)", &[1.0, 2.0, 120.0]));
    let line = format!("{PEOPLE} --target-outputs outputs.csv --members members.npy");
    refused(
        &sandbox,
        &line,
        3,
        &["members.npy", "entry 2", "120", "from 0 to 119"],
    );
    sandbox.write("members.npy", npy("(120,)", &[0.0; 120]));
    refused(
        &sandbox,
        &line,
        3,
        &["members.npy", "names no training record"],
    );
    refused(
        &sandbox,
        &format!("{PEOPLE} --members members.npy"),
        2,
        &["--members", "--target-outputs"],
    );
}

#[test]
fn options_that_make_no_sense() {
    let sandbox = with_table();
    for (options, words) in [
        ("--train-size 61", &["--train-size", "at most 60"][..]),
        ("--train-size 1", &["--train-size"]),
        ("--fdr 0", &["--fdr", "between 0 and 1"]),
        ("--fdr 1", &["--fdr"]),
        ("--fdr nan", &["--fdr"]),
        ("--select out-loss --alpha 0.3", &["--alpha", "neighbours"]),
        (
            "--fail-on nonsense",
            &["--fail-on nonsense", "no comparison", "records>0"],
        ),
        ("--fail-on recrods>0", &["recrods"]),
        ("--fail-on records>many", &["many", "not a number"]),
        ("--fail-on tpr@0.02>0", &["not computed"]),
        ("--threads 0", &["--threads", "all cores"]),
        ("--threads -1", &["--threads", "'-1'", "at least 0"]),
        ("--threads 100000", &["--threads", "at most 1024"]),
        ("--seed -1", &["--seed", "'-1'", "at least 0"]),
        ("--seed 99999999999999999999", &["--seed", "too large"]),
        (
            "--train-size 9223372036854775808",
            &["--train-size", "at most"],
        ),
        ("--models 1000001", &["--models", "at most 1000000"]),
        ("--hidden 65537", &["--hidden", "65536"]),
        ("--epochs 1000001", &["--epochs", "at most 1000000"]),
        ("--batch-size 16777217", &["--batch-size", "16777216"]),
        ("--optimiser sgd --momentum 5", &["--momentum", "below 1"]),
        ("--l2 inf", &["--l2", "at least 0"]),
        ("--learning-rate -1", &["--learning-rate", "above 0"]),
        ("--top 1", &["--top", "1%", "--count"]),
        ("--top 1%%%", &["--top", "such as 1%"]),
        ("--select all --count 3", &["--count", "all are"]),
        (
            "--output-kind logits",
            &["--output-kind", "--target-outputs"],
        ),
        (
            "--validation-share 0.2",
            &["--validation-share", "--patience"],
        ),
        (
            "--labels-file people.csv",
            &["people.csv", "--labels-file", "--label"],
        ),
        ("--momentum 0.9", &["--momentum", "--optimiser sgd"]),
        ("--dropout 1.5", &["--dropout", "below 1"]),
        ("--epochs 0", &["--epochs"]),
        ("--batch-size 0", &["--batch-size"]),
        ("--learning-rate 0", &["--learning-rate"]),
        ("--learning-rate nan", &["--learning-rate"]),
        ("--hidden 0", &["--hidden"]),
        ("--top 0", &["--top"]),
        ("--count 0", &["--count"]),
        ("--alpha 0 --select neighbours", &["--alpha"]),
        (
            "--validation-share 0.9 --patience 2",
            &["--validation-share"],
        ),
        ("--patience 0", &["--patience"]),
        ("--max-levels 1", &["--max-levels"]),
        ("--label-smoothing 1.5", &["--label-smoothing"]),
        ("--l2=-1", &["--l2"]),
        ("--models many", &["--models", "many"]),
        ("--no-such-option", &["--no-such-option"]),
        (
            "--design halves --reference people.csv",
            &["--design", "subsample"],
        ),
    ] {
        refused(&sandbox, &format!("{PEOPLE} {options}"), 2, words);
        let left = std::fs::read_dir(sandbox.path(".")).unwrap().count();
        assert_eq!(left, 1, "{options} left something beside the table");
    }
    refused(
        &sandbox,
        "breast-cancer --delimiter ;",
        2,
        &["--delimiter", "leave it out"],
    );
    refused(
        &sandbox,
        "breast-cancer --labels-file people.csv",
        2,
        &["--labels-file", "leave it out"],
    );
}

#[test]
fn what_a_file_says_does_not_act_on_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "twice.csv",
        table(60)
            .replace("p17,", "p\u{1b}[2J,")
            .replace("p41,", "p\u{1b}[2J,"),
    );
    let done = sandbox.audit("twice.csv --label outcome --id id");
    done.refused(3, &["`p\\u{1b}[2J`", "occurs twice"]);
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
}

#[test]
fn training_that_diverges() {
    let sandbox = with_table();
    refused(
        &sandbox,
        &format!("{PEOPLE} --optimiser sgd --learning-rate 1e30 --hidden 4"),
        2,
        &["cannot train a model", "--learning-rate"],
    );
}

#[test]
fn configurations_that_are_none() {
    let sandbox = with_table();
    for (content, words) in [
        (
            "[reference]\nmodles = 3\n",
            &["line 2", "modles", "models"][..],
        ),
        ("seed = \"many\"\n", &["line 1", "seed"]),
        ("not toml at all", &["line 1"]),
        ("[test]\nfdr = 0.0\n", &["--fdr"]),
    ] {
        sandbox.write("wrong.toml", content);
        refused(&sandbox, &format!("{PEOPLE} --config wrong.toml"), 2, words);
    }
}

/// A limit on the size of files stands for a full disk: writing fails in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk_and_then_room_again() {
    let sandbox = Sandbox::new();
    let line = |run: &str| quick(&format!("breast-cancer --run {run}"));
    sandbox.run(&line("undisturbed")).succeeded();
    let expected = sandbox.contents("undisturbed");

    // In blocks of 512 bytes: signals are 4,680 bytes, the membership 7 KB, the records more.
    for blocks in [0, 1, 9, 12, 60, 200] {
        let run = format!("full-{blocks}");
        let script = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec '{}' {}",
            env!("CARGO_BIN_EXE_giveaway"),
            line(&run)
        );
        // dash counts blocks of 512 bytes, bash in its POSIX mode too
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .env("POSIXLY_CORRECT", "1")
            .current_dir(sandbox.path("."));
        finished(&script, shell.output().unwrap())
            .refused(1, &[&run, "cannot write", "run the same command again"]);
        for path in sandbox.contents(&run).into_keys() {
            let name = path.to_string_lossy().into_owned();
            assert!(
                !name.contains(crate::sandbox::UNFINISHED),
                "{blocks}: {name}"
            );
            assert_ne!(name, "report.json", "{blocks}");
        }
        for (path, content) in sandbox.contents(&run) {
            let name = path.to_string_lossy().into_owned();
            // the manifest of an unfinished run says that it is
            assert!(
                name == "manifest.json" || content == expected[&path],
                "{blocks}: {name} is not whole"
            );
        }

        sandbox.run(&line(&run)).succeeded();
        assert!(expected == sandbox.contents(&run), "{blocks}");
    }
}
