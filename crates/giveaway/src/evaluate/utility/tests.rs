use super::*;

fn answered(family: usize, inside: &[bool], correct: &[bool], loss: &[f32]) -> Answered {
    Answered {
        family,
        inside: inside.to_vec(),
        correct: correct.to_vec(),
        loss: loss.to_vec(),
    }
}

#[test]
fn figures_are_of_records_that_a_model_was_not_trained_on() {
    let labels = [0, 0, 1, 1, 0];
    // the last record is held out of everything
    let unit = [Some(0), Some(1), Some(2), Some(3), None];
    let groups = [0, 1, 0, 1, 0];
    let measured = Measured {
        labels: &labels,
        classes: 2,
        unit: &unit,
        groupings: &[(2, &groups)],
    };
    let models = [
        answered(
            0,
            &[true, false, false, true, false],
            &[true, false, true, true, false],
            &[0.1, 2.0, 0.3, 0.4, 9.0],
        ),
        answered(
            1,
            &[false, true, false, true, false],
            &[true, true, false, false, false],
            &[0.5, 0.6, 0.7, 0.8, 9.0],
        ),
    ];
    let part = Part {
        families: &[true, true],
        records: &[true; 4],
    };
    let draws = Draws::new(3, 4, 2);
    let found = measured.usefulness(&models, part, &draws);
    // OUT: model 0 on records 1 (wrong), 2 (right); model 1 on 0 (right), 2 (wrong)
    let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-6, "{a:?} {b}");
    close(found.accuracy.value, 0.5);
    close(found.log_loss.value, (2.0 + 0.3 + 0.5 + 0.7) / 4.0);
    close(found.classes[0].value, 0.5);
    close(found.classes[1].value, 0.5);
    close(found.balanced_accuracy.value, 0.5);
    close(found.groups[0][0].value, 2.0 / 3.0);
    close(found.groups[0][1].value, 0.0);
    // IN: model 0 on 0 and 3, both right; model 1 on 1 (right) and 3 (wrong)
    close(found.train_accuracy, 0.75);
    let part = Part {
        families: &[true, false],
        records: &[true, true, false, true],
    };
    let found = measured.usefulness(&models, part, &draws);
    close(found.accuracy.value, 0.0);
    assert_eq!(found.classes[1].value, None);
    close(found.train_accuracy, 1.0);
}

#[test]
fn auc_of_classes_is_the_share_of_pairs_in_order() {
    let rows: [&[f32]; 4] = [&[0.9, 0.1], &[0.4, 0.6], &[0.6, 0.4], &[0.2, 0.8]];
    // class 1: 0.6? no: records 1 and 2; pairs in order: (.6,.1), (.4,.1), of (.6,.8), (.4,.8) none
    assert_eq!(class_auc(&rows, &[0, 1, 1, 0], 2), Some(0.5));
    assert_eq!(class_auc(&rows, &[1, 1, 1, 1], 2), None);
    let rows: [&[f32]; 3] = [&[0.8, 0.1, 0.1], &[0.5, 0.4, 0.1], &[0.6, 0.0, 0.4]];
    // class 0 at .8 against .5 and .6: 1; class 1 at .4: 1; class 2 at .4: 1
    assert_eq!(class_auc(&rows, &[0, 1, 2], 3), Some(1.0));
}
