//! Convolutional networks: images from every format, what they are told by, and what is refused.

use std::fmt::Write as _;
use std::path::Path;

use crate::sandbox::Sandbox;

const RECORDS: usize = 120;
const SIDE: usize = 8;
const NETWORK: &str = "--convolutions 4x3 --hidden 6";

/// Grey images with a bright square that lies where the class says, and noise.
fn pixels() -> Vec<u8> {
    let mut state = 7_u32;
    let mut pixels = Vec::new();
    for record in 0..RECORDS {
        let corner = 4 * usize::from(class(record));
        for row in 0..SIDE {
            for column in 0..SIDE {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 25) as u8;
                let bright = (corner..corner + 4).contains(&row) && column < 4;
                pixels.push(if bright { noise + 120 } else { noise });
            }
        }
    }
    pixels
}

fn class(record: usize) -> u8 {
    u8::from(record * 7 % 5 < 2)
}

fn classes() -> Vec<u8> {
    (0..RECORDS).map(class).collect()
}

fn idx(shape: &[usize], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    for &length in shape {
        bytes.extend((length as u32).to_be_bytes());
    }
    bytes.extend(content);
    bytes
}

fn npy(kind: &str, shape: &[usize], content: &[u8]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let shape = shape.join(",");
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape},), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(content);
    bytes
}

fn csv(pixels: &[u8]) -> String {
    let mut text = String::new();
    for i in 0..SIDE * SIDE {
        write!(text, "p{i},").unwrap();
    }
    text.push_str("label\n");
    for (record, image) in pixels.chunks_exact(SIDE * SIDE).enumerate() {
        for pixel in image {
            write!(text, "{pixel},").unwrap();
        }
        writeln!(text, "{}", class(record)).unwrap();
    }
    text
}

fn with_images() -> Sandbox {
    let sandbox = Sandbox::new();
    let pixels = pixels();
    sandbox.write(
        "train-images-idx3-ubyte",
        idx(&[RECORDS, SIDE, SIDE], &pixels),
    );
    sandbox.write("train-labels-idx1-ubyte", idx(&[RECORDS], &classes()));
    sandbox.write("labels.npy", npy("|u1", &[RECORDS], &classes()));
    sandbox.write("cubes.npy", npy("|u1", &[RECORDS, SIDE, SIDE], &pixels));
    sandbox.write("rows.npy", npy("|u1", &[RECORDS, SIDE * SIDE], &pixels));
    sandbox.write("table.csv", csv(&pixels));
    sandbox
}

/// The outputs of target and reference models.
fn signals(sandbox: &Sandbox, run: &str) -> Vec<Vec<u8>> {
    sandbox
        .contents(&format!("{run}/signals"))
        .into_values()
        .collect()
}

#[test]
fn one_network_for_images_of_every_format() {
    let sandbox = with_images();
    let mut first = Vec::new();
    for (number, line) in [
        "train-images-idx3-ubyte --threads 1",
        "train-images-idx3-ubyte --threads 2",
        "train-images-idx3-ubyte --image 8x8",
        "cubes.npy --labels-file labels.npy",
        "rows.npy --labels-file labels.npy --image 8x8x1",
        "table.csv --image 8x8",
    ]
    .into_iter()
    .enumerate()
    {
        let run = format!("run-{number}");
        let report = sandbox.report(&format!(
            "{line} {NETWORK} --epochs 15 --learning-rate 0.02 --run {run}"
        ));
        assert_eq!(
            report["reference"]["network"],
            "convolutional network 8×8×1, 3×3×4, max pool, 6, 2"
        );
        // The square is found, so the pixels are where they should be.
        let accuracy = report["reference"]["test_accuracy"]["mean"].as_f64();
        assert!(accuracy.is_some_and(|a| a > 0.9), "{line}: {accuracy:?}");
        let found = signals(&sandbox, &run);
        assert_eq!(found.len(), 13);
        if number == 0 {
            first = found;
        } else {
            assert!(first == found, "{line}");
        }
    }
    // A perceptron on the same images has other outputs.
    sandbox.report("train-images-idx3-ubyte --hidden 6 --epochs 15 --run dense");
    assert!(first != signals(&sandbox, "dense"));
}

#[test]
fn colours_at_the_end_and_in_front() {
    let sandbox = Sandbox::new();
    let area = SIDE * SIDE;
    let grey = pixels();
    // Three channels that differ: the image, its negative, and its rows shifted.
    let channel = |c: usize, i: usize| match c {
        0 => grey[i],
        1 => 255 - grey[i],
        _ => grey[(i + SIDE) % grey.len()],
    };
    let mut front = Vec::new();
    let mut end = Vec::new();
    for record in 0..RECORDS {
        for c in 0..3 {
            front.extend((0..area).map(|p| channel(c, record * area + p)));
        }
        for p in 0..area {
            end.extend((0..3).map(|c| channel(c, record * area + p)));
        }
    }
    sandbox.write("labels.npy", npy("|u1", &[RECORDS], &classes()));
    sandbox.write("front.npy", npy("|u1", &[RECORDS, 3, SIDE, SIDE], &front));
    sandbox.write("end.npy", npy("|u1", &[RECORDS, SIDE, SIDE, 3], &end));
    sandbox.write("flat.npy", npy("|u1", &[RECORDS, 3 * area], &front));
    for (file, rest) in [
        ("end", ""),
        ("front", ""),
        ("flat", "--image 3x8x8"),
        ("wrong", "--image 8x8x3"),
    ] {
        let source = if file == "wrong" { "flat" } else { file };
        let report = sandbox.report(&format!(
            "{source}.npy --labels-file labels.npy {rest} --convolutions 4x3:average,5x3:none \
             --padding same --hidden none --run {file}"
        ));
        assert_eq!(
            report["reference"]["network"],
            "convolutional network 8×8×3, 3×3×4 padded, average pool, 3×3×5 padded, 2"
        );
    }
    assert!(signals(&sandbox, "end") == signals(&sandbox, "front"));
    assert!(signals(&sandbox, "end") == signals(&sandbox, "flat"));
    assert!(signals(&sandbox, "end") != signals(&sandbox, "wrong"));
}

#[test]
fn a_run_of_images_goes_on_and_is_repeated() {
    let sandbox = with_images();
    for (file, rest) in [
        ("train-images-idx3-ubyte", ""),
        ("table.csv", "--image 8x8"),
    ] {
        let run = format!("run-of-{file}");
        let line = format!("{file} {rest} {NETWORK} --pool average --padding same --run {run}");
        sandbox.audit(&line).succeeded();
        let before = sandbox.contents(&run);
        let settings = String::from_utf8(before[Path::new("run.toml")].clone()).unwrap();
        for part in [
            "[[reference.convolutions]]",
            "channels = 4",
            "size = 3",
            "pool = \"average\"",
            "padding = \"same\"",
            "image = [",
        ] {
            assert!(settings.contains(part), "no {part:?} in\n{settings}");
        }
        sandbox.run(&format!("audit {run}")).succeeded();
        assert!(before == sandbox.contents(&run));
        sandbox
            .run(&format!("audit --config {run}/run.toml --run {run}-again"))
            .succeeded();
        assert!(before == sandbox.contents(&format!("{run}-again")));
        // Options change what the configuration says.
        let report = sandbox.report(&format!(
            "--config {run}/run.toml --pool none --hidden 6 --run {run}-other"
        ));
        assert_eq!(
            report["reference"]["network"],
            "convolutional network 8×8×1, 3×3×4 padded, 6, 2"
        );
    }
}

#[test]
fn images_are_moved_mirrored_and_added_up() {
    let sandbox = with_images();
    let line = format!("train-images-idx3-ubyte {NETWORK}");
    sandbox.report(&format!("{line} --run plain"));
    sandbox.report(&format!("{line} --augment-shift 0 --run nothing"));
    sandbox.report(&format!("{line} --augment-shift 1 --run moved"));
    sandbox.report(&format!("{line} --augment-flip --run mirrored"));
    sandbox.write(
        "skips.toml",
        "[reference]\nhidden = [6, 6]\nskips = [{ from = 1, to = 2 }]\n\
         convolution-skips = [{ from = 1, to = 2 }]\n\
         convolutions = [{ channels = 4, size = 3 }, { channels = 4, size = 3, padding = \"same\" }]\n",
    );
    let report = sandbox.report(
        "train-images-idx3-ubyte --config skips.toml --hidden 6,6 --augment-shift 1 --augment-flip --run added",
    );
    assert_eq!(
        report["reference"]["network"],
        "convolutional network 8×8×1, 3×3×4, 3×3×4 padded, 6, 6, 2, 2 residual additions"
    );
    let before = sandbox.contents("added");
    sandbox.run("audit added").succeeded();
    assert!(before == sandbox.contents("added"));
    let plain = signals(&sandbox, "plain");
    assert!(plain == signals(&sandbox, "nothing"));
    assert!(plain != signals(&sandbox, "moved"));
    assert!(plain != signals(&sandbox, "mirrored"));
}

#[test]
fn convolutions_that_cannot_be() {
    let sandbox = with_images();
    // The first pixel of the first record is not there.
    let whole = csv(&pixels());
    let (header, rest) = whole.split_once('\n').unwrap();
    let (_, rest) = rest.split_once(',').unwrap();
    sandbox.write("gap.csv", format!("{header}\n,{rest}"));
    let idx = "train-images-idx3-ubyte";
    let flat = "rows.npy --labels-file labels.npy";
    for (line, words) in [
        (
            format!("{flat} --convolutions 4x3"),
            &["--convolutions", "64 features", "--image 28x28"][..],
        ),
        (
            "breast-cancer --convolutions 4x3".to_owned(),
            &["--convolutions", "30 features"],
        ),
        (
            format!("{idx} --convolutions 4x5,4x3"),
            &[
                "--convolutions",
                "convolution 2",
                "2 × 2 pixels",
                "--padding same",
            ],
        ),
        (
            format!("{idx} --convolutions 4x4 --padding same"),
            &["--padding", "4 × 4", "odd"],
        ),
        (
            format!("{idx} --convolutions 4"),
            &["--convolutions", "CHANNELSxSIZE"],
        ),
        (
            format!("{idx} --convolutions 0x5"),
            &["--convolutions", "CHANNELSxSIZE"],
        ),
        (
            format!("{idx} --convolutions 4x3:median"),
            &["--convolutions", ":average"],
        ),
        (
            format!("{idx} --convolutions 70000x3"),
            &["--convolutions", "70000 channels"],
        ),
        (
            format!("{idx} --convolutions 4x2000"),
            &["--convolutions", "2000 × 2000"],
        ),
        (format!("{idx} --pool max"), &["--pool", "--convolutions"]),
        (
            format!("{idx} --padding same --convolutions none"),
            &["--padding", "there are none"],
        ),
        (
            format!("{idx} --augment-shift 2"),
            &["--augment-shift", "--convolutions"],
        ),
        (
            format!("{idx} --convolutions 4x3 --augment-flip --augment-shift 8"),
            &["--augment-shift", "8 × 8"],
        ),
        (
            format!("{idx} --image 4x16"),
            &["--image", "4 × 16", "the file says 8 × 8 × 1"],
        ),
        (
            format!("{flat} --image 8x9"),
            &["--image", "64 features", "8 × 9 has 72"],
        ),
        (format!("{flat} --image 64"), &["--image", "HEIGHTxWIDTH"]),
        (
            format!("{flat} --image 2x4x8"),
            &["--image", "1, 3 or 4 channels"],
        ),
        (
            "adult --image 2x7".to_owned(),
            &["--image", "categories", "--drop"],
        ),
        (
            format!("{idx} --weight-decay 0.1"),
            &["--weight-decay", "adamw", "--l2"],
        ),
        (
            format!("{idx} --optimiser adamw --weight-decay -1"),
            &["--weight-decay", "at least 0"],
        ),
    ] {
        sandbox.audit(&line).refused(2, words);
    }
    sandbox
        .audit("gap.csv --image 8x8")
        .refused(3, &["row 1, column `p0`", "missing"]);
    sandbox.holds_no_result();
}
