use super::*;

/// A made-up explanation.
pub(crate) fn example() -> Explanation {
    serde_json::from_str(include_str!("example.json")).unwrap()
}

fn facts(id: &str, measures: Vec<MeasureOfRecord>) -> RecordFacts {
    RecordFacts {
        id: id.to_owned(),
        unit: None,
        class: ">50K".to_owned(),
        leak: Some(4.213),
        rank: Some(1),
        given_away: false,
        reason: Some("rare value".to_owned()),
        further: Vec::new(),
        statement: None,
        measures,
    }
}

fn measures() -> Vec<MeasureOfRecord> {
    [
        ("mean_out_loss", 3.912, 0.999, 0.0),
        ("label_agreement", 0.05, 0.01, 0.98),
        ("input_lof", 1.02, 0.61, 0.38),
        ("rarity", f64::NAN, 0.0, 0.0),
    ]
    .map(|(measure, value, smaller, larger)| MeasureOfRecord {
        measure: measure.to_owned(),
        value,
        smaller,
        larger,
    })
    .to_vec()
}

#[test]
fn a_run_is_explained() {
    let text = explanation(&example(), "records");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.starts_with("WHY THESE RECORDS\n"));
    assert!(
        flat.contains("the 50 of 1,000 records with the largest leak (5 %), 0.69 nats or more"),
        "{text}"
    );
    // The best measures, and the best that need the data or one model alone.
    assert!(text.contains("difference of mean loss, IN and OUT"));
    assert!(text.contains("margin of one model without it (small)"));
    assert!(text.contains("mislabelled or ambiguous"));
    assert!(text.contains("A12 (class >50K): mislabelled or ambiguous; given away"));
    assert!(text.contains("its 20 nearest neighbours are all <=50K"));
    assert!(text.contains("2.1 [1.4–2.8]"));
    assert!(
        flat.contains("one threshold per record members named 41 32"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 118),
        "{text}"
    );
}

#[test]
fn nothing_is_no_fault() {
    let mut empty = example();
    empty.findings.clear();
    empty.predictors.clear();
    empty.reasons.clear();
    empty.exposed.clear();
    empty.classes.clear();
    empty.groups.clear();
    empty.screening.clear();
    empty.definitions = None;
    empty.attribution = None;
    empty.settings.leaky_threshold = None;
    let text = explanation(&empty, "groups");
    assert!(text.starts_with("WHY THESE GROUPS"));
    assert!(!text.contains("NaN") && !text.contains("REASONS"));
    let none = record(&empty, &facts("A12", Vec::new()), "groups");
    assert!(none.contains("exposed     no:"), "{none}");
    assert!(none.contains("would be    rare value"), "{none}");
}

#[test]
fn a_record_is_explained() {
    let text = record(&example(), &facts("A12", measures()), "records");
    assert!(text.contains("4.213 nats, 1st of 1,000 by leak"), "{text}");
    // The reason of an exposed record is that of the report.
    assert!(text.contains("reason      mislabelled or ambiguous: its nearest"));
    assert!(text.contains("also        atypical of its class"));
    let line = |name: &str| {
        text.lines()
            .find(|line| line.contains(name))
            .unwrap_or_else(|| panic!("{name} in {text}"))
    };
    assert!(line("mean loss of models").contains("* mean"));
    assert!(line("mean loss of models").contains("the largest of all"));
    assert!(
        line("share of the nearest").contains("* share"),
        "small values stand for exposure"
    );
    assert!(line("share of the nearest").contains("smaller than 98\u{a0}% of records"));
    assert!(line("local outlier").contains("  local"));
    assert!(line("local outlier").contains("larger than 61\u{a0}% of records"));
    assert!(!text.contains("rarest value"), "it has none");
    let education = line("education = 9th");
    assert_eq!(education.matches('█').count(), 24);
    assert!(education.contains("+1.812"));
    assert!(line("age = 23").contains("░░░░") && line("age = 23").contains("-0.310"));
}

#[test]
fn what_acts_on_a_terminal_is_written_out() {
    let mut hostile = example();
    let bad = "\u{1b}[2J\u{202e}\n";
    hostile.findings[0].push_str(bad);
    hostile.predictors[0].label.insert_str(0, bad);
    hostile.reasons[0].meaning.push_str(bad);
    let unit = &mut hostile.exposed[0];
    unit.class.push_str(bad);
    unit.statement.push_str(bad);
    unit.further.push(bad.to_owned());
    if let Some(attribution) = &mut unit.attribution {
        attribution.columns[0].column.push_str(bad);
        attribution.columns[1].value = Some(bad.to_owned());
    }
    hostile.classes[0].name.push_str(bad);
    hostile.groups[0].column.push_str(bad);
    hostile.settings.spaces[0].description.push_str(bad);
    for text in [
        explanation(&hostile, "records"),
        record(&hostile, &facts("A12", measures()), "records"),
    ] {
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
        assert!(text.contains("\\u{1b}"));
    }
}

#[test]
fn names_are_cut_in_the_middle() {
    assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
    assert_eq!(shortened("abcdefghijk", 7), "abc…ijk");
    assert_eq!(shortened("abc defghij xyz", 8), "abc…xyz");
    // Words stay whole where that costs little.
    assert_eq!(
        shortened("distance to the centre of its class in the outputs", 36),
        "distance to the…in the outputs"
    );
}

#[test]
fn places_are_said_as_people_say_them() {
    for (number, text) in [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (11, "11th"),
        (112, "112th"),
        (1023, "1,023rd"),
    ] {
        assert_eq!(ordinal(number), text);
    }
}
