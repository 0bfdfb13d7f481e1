//! Which output of a model is used, and how it becomes answers.

use giveaway::error::{Error, Result};
use giveaway::target::Answers;
use ndarray::Array2;

use crate::model::{Element, Holds, Model, Port};
use crate::tensor::Outcome;

/// The output that is used.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    /// The classes in the order of the columns, where the model says so.
    names: Option<Vec<String>>,
    /// For a model that answers with numbers of classes, not their names: the names.
    numbered: Option<Vec<String>>,
}

/// How well an output fits so many classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// Nothing but the class.
    Label,
    /// Numbers in a shape that is not known before the model is asked.
    Perhaps,
    /// A single number, which tells two classes apart.
    One,
    /// A number for each class.
    Classes,
}

fn fit(port: &Port, classes: usize) -> Fit {
    let Holds::Tensor { element, dims } = &port.holds else {
        return if port.holds == Holds::Maps {
            Fit::Classes
        } else {
            Fit::No
        };
    };
    let dims = dims.as_deref();
    match element {
        Element::Float | Element::Double => match dims {
            None | Some([_, None]) => Fit::Perhaps,
            Some([_, Some(width)]) if *width == classes => Fit::Classes,
            Some([_] | [_, Some(1)]) if classes == 2 => Fit::One,
            Some([_, Some(width), rest @ ..])
                if *width == classes && rest.iter().all(|dim| *dim == Some(1)) =>
            {
                Fit::Classes
            }
            _ => Fit::No,
        },
        Element::Int32 | Element::Int64 | Element::Text => match dims {
            None | Some([_] | [_, Some(1) | None]) => Fit::Label,
            _ => Fit::No,
        },
        _ => Fit::No,
    }
}

impl Output {
    /// Chooses the output: the one asked for, else the one that fits the classes best.
    pub(crate) fn choose(model: &Model, asked: Option<&str>, classes: &[String]) -> Result<Self> {
        let port = match asked {
            Some(name) => model
                .outputs
                .iter()
                .find(|port| port.name == name)
                .ok_or_else(|| {
                    Error::usage(format!("the model has no output {name:?}"))
                        .hint(format!("its outputs are {}", listed(&model.outputs)))
                })?,
            None => best(&model.outputs, classes.len())?,
        };
        let names = model.classes_of(&port.name);
        let numbered = (fit(port, classes.len()) == Fit::Label)
            .then(|| numbered(port, names.as_deref(), classes))
            .flatten();
        Ok(Self {
            name: port.name.clone(),
            names,
            numbered,
        })
    }

    /// What the model answered to so many questions, in words of the audit.
    pub(crate) fn answers(
        &self,
        outcome: Outcome,
        questions: usize,
    ) -> std::result::Result<Answers, String> {
        let counted = |rows: usize| {
            if rows == questions {
                Ok(())
            } else {
                Err(format!("it gave {rows} answers to {questions} questions"))
            }
        };
        match outcome {
            Outcome::Numbers(values) => {
                counted(values.nrows())?;
                let names = self
                    .names
                    .clone()
                    .filter(|names| names.len() == values.ncols());
                Ok(Answers::Numbers { values, names })
            }
            Outcome::Labels(labels) => {
                counted(labels.len())?;
                Ok(Answers::Labels(match &self.numbered {
                    Some(classes) => labels
                        .into_iter()
                        .map(|label| {
                            let class = label.parse().ok().and_then(|at: usize| classes.get(at));
                            class.cloned().unwrap_or(label)
                        })
                        .collect(),
                    None => labels,
                }))
            }
            Outcome::Maps(maps) => {
                counted(maps.len())?;
                from_maps(&maps)
            }
        }
    }
}

/// A column for each key, in their order in the first map.
fn from_maps(maps: &[Vec<(String, f32)>]) -> std::result::Result<Answers, String> {
    let names: Vec<String> = maps
        .first()
        .map(|map| map.iter().map(|(key, _)| key.clone()).collect())
        .unwrap_or_default();
    let mut values = Array2::zeros((maps.len(), names.len()));
    for (mut row, map) in values.rows_mut().into_iter().zip(maps) {
        if map.len() != names.len() {
            return Err("its maps have different classes".to_owned());
        }
        for (key, value) in map {
            let place = names
                .iter()
                .position(|name| name == key)
                .ok_or("its maps have different classes")?;
            row[place] = *value;
        }
    }
    Ok(Answers::Numbers {
        values,
        names: Some(names),
    })
}

fn best(outputs: &[Port], classes: usize) -> Result<&Port> {
    let rank = |port: &Port| {
        let probable = port.name.to_lowercase().contains("prob");
        (fit(port, classes), probable)
    };
    let best = outputs.iter().map(rank).max().unwrap_or((Fit::No, false));
    let mut chosen = outputs.iter().filter(|port| rank(port) == best);
    let numbers = outputs.iter().any(|port| {
        matches!(
            &port.holds,
            Holds::Tensor {
                element: Element::Float | Element::Double,
                ..
            }
        )
    });
    match (best.0, chosen.next(), chosen.next()) {
        // Labels beside numbers of another count: the model has other classes than the data.
        (Fit::No, _, _) | (Fit::Label, Some(_), _) if numbers || best.0 == Fit::No => {
            Err(Error::input(format!(
                "no output of the model has a number for each of the {classes} classes: it has {}",
                listed(outputs)
            ))
            .hint("see whether the model and the data have the same classes; name an output to use it nonetheless"))
        }
        (_, Some(port), None) => Ok(port),
        _ => Err(Error::usage(format!(
            "several outputs of the model may be meant: {}",
            listed(outputs)
        ))
        .hint("name one: output = \"…\"")),
    }
}

fn listed(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().take(10).map(ToString::to_string).collect();
    ports.join(", ")
}

/// The classes by their numbers, where a model answers with 0, 1, … and the classes of the data
/// are named otherwise: scikit-learn's `LabelEncoder` and most training loops count the classes
/// in sorted order, as the data set does.
fn numbered(port: &Port, names: Option<&[String]>, classes: &[String]) -> Option<Vec<String>> {
    let whole = matches!(&port.holds, Holds::Tensor { element, .. } if *element != Element::Text);
    let counted = names.is_none_or(|names| {
        names.len() == classes.len()
            && names
                .iter()
                .enumerate()
                .all(|(i, name)| *name == i.to_string())
    });
    let named_by_numbers = classes.iter().all(|class| class.parse::<i64>().is_ok());
    (whole && counted && !named_by_numbers).then(|| classes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, element: Element, dims: &[Option<usize>]) -> Port {
        Port {
            name: name.to_owned(),
            holds: Holds::Tensor {
                element,
                dims: Some(dims.to_vec()),
            },
        }
    }

    fn names(classes: &[&str]) -> Vec<String> {
        classes.iter().map(|&class| class.to_owned()).collect()
    }

    fn chosen(outputs: &[Port], asked: Option<&str>, classes: usize) -> Result<String> {
        let model = Model::with_outputs(outputs.to_vec());
        let classes: Vec<String> = (0..classes).map(|class| format!("c{class}")).collect();
        Output::choose(&model, asked, &classes).map(|output| output.name)
    }

    #[test]
    fn the_output_with_a_number_for_each_class_is_used() {
        let label = port("label", Element::Int64, &[None]);
        let three = port("probabilities", Element::Float, &[None, Some(3)]);
        let logits = port("logits", Element::Float, &[None, Some(3)]);
        let hidden = port("hidden", Element::Float, &[None, Some(64)]);
        let open = port("out", Element::Float, &[None, None]);
        let one = port("y", Element::Float, &[None, Some(1)]);
        let both = [label.clone(), three.clone()];
        assert_eq!(chosen(&both, None, 3).unwrap(), "probabilities");
        assert_eq!(chosen(&both, Some("label"), 3).unwrap(), "label");
        assert_eq!(
            chosen(&[logits.clone(), three], None, 3).unwrap(),
            "probabilities"
        );
        assert_eq!(
            chosen(&[hidden.clone(), logits.clone()], None, 3).unwrap(),
            "logits"
        );
        assert_eq!(chosen(&[label.clone(), open], None, 3).unwrap(), "out");
        assert_eq!(chosen(std::slice::from_ref(&one), None, 2).unwrap(), "y");
        assert_eq!(
            chosen(std::slice::from_ref(&label), None, 3).unwrap(),
            "label"
        );
        // Other classes than the data: not silently their labels alone.
        assert!(chosen(&both, None, 4).is_err());
        assert!(chosen(&[one], None, 3).is_err());
        assert!(chosen(&both, Some("nothing"), 3).is_err());
        assert!(chosen(&[], None, 3).is_err());
        let other = port("other", Element::Float, &[None, Some(3)]);
        let error = chosen(&[logits, other], None, 3).unwrap_err();
        assert!(error.hint_text().unwrap().contains("output ="));
    }

    #[test]
    fn labels_that_are_numbers_become_classes() {
        let labels = |known: Option<&[&str]>, classes: &[&str]| {
            let port = port("label", Element::Int64, &[None]);
            let known = known.map(names);
            let output = Output {
                name: "label".to_owned(),
                numbered: numbered(&port, known.as_deref(), &names(classes)),
                names: known,
            };
            match output
                .answers(Outcome::Labels(names(&["1", "0"])), 2)
                .unwrap()
            {
                Answers::Labels(labels) => labels,
                Answers::Numbers { .. } => panic!("labels"),
            }
        };
        assert_eq!(labels(None, &["a", "b"]), ["b", "a"]);
        assert_eq!(labels(Some(&["0", "1"]), &["a", "b"]), ["b", "a"]);
        assert_eq!(labels(None, &["0", "1"]), ["1", "0"]);
        // Classes of their own, and not those of the data: left as they are.
        assert_eq!(labels(Some(&["1", "2"]), &["a", "b"]), ["1", "0"]);
    }

    #[test]
    fn maps_become_columns_in_the_order_of_the_first() {
        let map = |pairs: &[(&str, f32)]| -> Vec<(String, f32)> {
            pairs.iter().map(|&(k, v)| (k.to_owned(), v)).collect()
        };
        let answers = from_maps(&[
            map(&[("b", 0.75), ("a", 0.25)]),
            map(&[("a", 1.0), ("b", 0.0)]),
        ]);
        assert_eq!(
            answers.unwrap(),
            Answers::Numbers {
                values: ndarray::array![[0.75, 0.25], [0.0, 1.0]],
                names: Some(names(&["b", "a"])),
            }
        );
        assert!(from_maps(&[map(&[("a", 1.0)]), map(&[("b", 1.0)])]).is_err());
    }
}
