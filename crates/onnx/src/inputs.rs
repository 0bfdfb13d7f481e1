//! From questions to the tensors that a model takes.

use std::collections::BTreeSet;

use giveaway::error::{Error, Result};
use giveaway::target::{Form, QuestionColumn, QuestionValues, Questions};

use crate::model::{Element, Holds, Port};
use crate::settings::{Layout, OnnxSettings};
use crate::tensor::{Elements, Tensor};

/// Which tensors a model takes.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    kind: Kind,
    missing_text: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// One tensor with all features of a record, or all raw columns that are numbers.
    Matrix {
        name: String,
        element: Element,
        /// Dimensions after the first, as the model has them; a single one where it says nothing.
        dims: Vec<Option<usize>>,
        form: Form,
        /// Whether the form was asked for, or is known for certain.
        settled: bool,
        layout: Layout,
    },
    /// One tensor for each column.
    Columns(Vec<Cell>),
}

#[derive(Clone, Debug)]
struct Cell {
    name: String,
    element: Element,
    /// Dimensions: 1 or 2.
    rank: usize,
}

const ELEMENTS: &str = "inputs may be float, double, int32, int64, bool or string";

impl Inputs {
    /// How to ask a model with these inputs, and the batch that it is fixed to.
    pub(crate) fn plan(ports: &[Port], settings: &OnnxSettings) -> Result<(Self, Option<usize>)> {
        let mut batch = None;
        let mut tensors = Vec::new();
        for port in ports {
            let Holds::Tensor { element, dims } = &port.holds else {
                return Err(
                    Error::input(format!("the model's input {port} is no tensor"))
                        .hint("export the model with tensors as inputs"),
                );
            };
            if let Element::Other(_) = element {
                return Err(Error::input(format!(
                    "the model's input {port} is of a type that cannot be asked"
                ))
                .hint(format!("{ELEMENTS}: export the model with one of them")));
            }
            if let Some(size) = dims.as_ref().and_then(|dims| *dims.first()?) {
                if batch.is_some_and(|known| known != size) {
                    return Err(Error::input(
                        "the model's inputs are fixed to different numbers of records",
                    )
                    .hint("export the model with a first dimension that is not fixed"));
                }
                batch = Some(size);
            }
            tensors.push((port, *element, dims.as_deref()));
        }
        let asked = settings.form.map(Form::from);
        let kind = match tensors[..] {
            [] => {
                return Err(Error::input("the model has no inputs")
                    .hint("export the model with its features as inputs"));
            }
            [(port, element, dims)] if !is_column(element, dims) => {
                if asked == Some(Form::Encoded)
                    && !matches!(element, Element::Float | Element::Double)
                {
                    return Err(Error::usage(format!(
                        "encoded features are numbers, and the model's input is {port}"
                    ))
                    .hint("set form = \"raw\""));
                }
                let known = matches!(element, Element::Float | Element::Double);
                Kind::Matrix {
                    name: port.name.clone(),
                    element,
                    dims: match dims {
                        Some([_, rest @ ..]) if !rest.is_empty() => rest.to_vec(),
                        Some([] | [_]) => {
                            return Err(Error::input(format!(
                                "the model's input {port} has no dimension for the features"
                            ))
                            .hint(
                                "export the model with an input of the shape records × features",
                            ));
                        }
                        _ => vec![None],
                    },
                    form: asked.unwrap_or(if known { Form::Encoded } else { Form::Raw }),
                    settled: asked.is_some() || !known,
                    layout: settings.layout,
                }
            }
            _ => {
                if asked == Some(Form::Encoded) {
                    return Err(Error::usage("the model has one input for each column, and encoded features have no columns")
                        .hint("leave out form, or set form = \"raw\""));
                }
                let cells = tensors
                    .iter()
                    .map(|&(port, element, dims)| match dims {
                        Some([_] | [_, Some(1) | None]) | None => Ok(Cell {
                            name: port.name.clone(),
                            element,
                            rank: dims.map_or(2, <[_]>::len),
                        }),
                        _ => Err(Error::input(format!("the model's input {port} has several values for each record"))
                            .hint("a model with several inputs must have one for each column, of the shape records × 1; or a single one for all of them")),
                    })
                    .collect::<Result<_>>()?;
                Kind::Columns(cells)
            }
        };
        let inputs = Self {
            kind,
            missing_text: settings.missing_text.clone(),
        };
        Ok((inputs, batch))
    }

    /// Decides the form by the widths of questions of the kind to come, where it is not settled:
    /// raw where all columns are numbers and fit. A model exported from scikit-learn or PyTorch
    /// knows nothing of our encoding, so where both fit it is the columns that are meant.
    pub(crate) fn decide(&mut self, example: &Questions) {
        let Kind::Matrix {
            dims,
            form,
            settled,
            ..
        } = &mut self.kind
        else {
            return;
        };
        // Without columns an open width would fit, and there is nothing to send.
        if !*settled
            && !example.columns.is_empty()
            && example.columns.iter().all(is_number)
            && dims_of(dims, example.columns.len()).is_some()
        {
            *form = Form::Raw;
        }
        *settled = true;
    }

    pub(crate) fn form(&self) -> Form {
        match &self.kind {
            Kind::Matrix { form, .. } => *form,
            Kind::Columns(_) => Form::Raw,
        }
    }

    /// The tensors of some questions.
    pub(crate) fn tensors(&self, questions: &Questions) -> Result<Vec<Tensor>> {
        match &self.kind {
            Kind::Matrix {
                name,
                element,
                dims,
                form,
                settled,
                layout,
            } => {
                let (values, width) = match form {
                    Form::Encoded => (
                        questions.features.iter().map(|&v| f64::from(v)).collect(),
                        questions.features.ncols(),
                    ),
                    Form::Raw => (side_by_side(&questions.columns)?, questions.columns.len()),
                };
                let sizes = dims_of(dims, width)
                    .ok_or_else(|| misfit(dims, width, *form, *settled, questions))?;
                let values = match sizes[..] {
                    [channels, height, width] if layout.channels_first(&sizes) => {
                        channels_first(&values, channels, height * width)
                    }
                    _ => values,
                };
                let elements = convert(&QuestionValues::Numbers(values), *element, None)
                    .map_err(|error| error.at(format!("the model's input {name:?}")))?;
                Ok(vec![Tensor {
                    name: name.clone(),
                    dims: std::iter::once(questions.len()).chain(sizes).collect(),
                    elements,
                }])
            }
            Kind::Columns(cells) => {
                let names = exported_names(&questions.columns);
                cells
                    .iter()
                    .map(|cell| {
                        let column = column_for(&cell.name, &names, &questions.columns)?;
                        let elements =
                            convert(&column.values, cell.element, self.missing_text.as_deref())
                                .map_err(|error| error.at(format!("column {:?}", column.name)))?;
                        let dims = [questions.len(), 1];
                        Ok(Tensor {
                            name: cell.name.clone(),
                            dims: dims[..cell.rank].to_vec(),
                            elements,
                        })
                    })
                    .collect()
            }
        }
    }
}

/// Whether a single input is a column rather than a matrix: texts, or one value per record.
fn is_column(element: Element, dims: Option<&[Option<usize>]>) -> bool {
    let one_value = matches!(dims, Some([_, Some(1)]));
    match element {
        Element::Text => !matches!(dims, Some([_, Some(2..)])),
        Element::Float | Element::Double => false,
        _ => one_value,
    }
}

fn is_number(column: &QuestionColumn) -> bool {
    !matches!(column.values, QuestionValues::Texts(_))
}

/// The dimensions after the first for so many values per record: at most one may be open.
fn dims_of(dims: &[Option<usize>], width: usize) -> Option<Vec<usize>> {
    let known = dims
        .iter()
        .flatten()
        .try_fold(1_usize, |product, &size| product.checked_mul(size))?;
    match dims.iter().filter(|dim| dim.is_none()).count() {
        0 if known == width => Some(dims.iter().flatten().copied().collect()),
        1 if known > 0 && width.is_multiple_of(known) => Some(
            dims.iter()
                .map(|dim| dim.unwrap_or(width / known))
                .collect(),
        ),
        _ => None,
    }
}

fn misfit(
    dims: &[Option<usize>],
    width: usize,
    form: Form,
    settled: bool,
    questions: &Questions,
) -> Error {
    let shape: Vec<String> = dims
        .iter()
        .map(|dim| dim.map_or_else(|| "?".to_owned(), |size| size.to_string()))
        .collect();
    let (what, other) = match form {
        Form::Encoded => ("encoded features", "raw"),
        Form::Raw => ("columns", "encoded"),
    };
    let other_width = match form {
        Form::Encoded => questions.columns.len(),
        Form::Raw => questions.features.ncols(),
    };
    let error = Error::input(format!(
        "the model takes {} values for each record, and there are {width} {what}",
        shape.join(" × ")
    ));
    if dims_of(dims, other_width).is_some() && !settled {
        error.hint(format!("set form = \"{other}\""))
    } else {
        error.hint("give the data that the model was trained on, or a model that takes the columns of the data file, one input for each")
    }
}

/// From pixels whose channels lie side by side to one plane after the other.
fn channels_first(values: &[f64], channels: usize, pixels: usize) -> Vec<f64> {
    let mut planes = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * pixels) {
        for channel in 0..channels {
            planes.extend((0..pixels).map(|pixel| image[pixel * channels + channel]));
        }
    }
    planes
}

/// All columns as numbers, record after record.
fn side_by_side(columns: &[QuestionColumn]) -> Result<Vec<f64>> {
    let numbers: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| {
            numbers(&column.values).ok_or_else(|| {
                Error::input("the model takes a single tensor of numbers, and this column has texts")
                    .at(format!("column {:?}", column.name))
                    .hint("set form = \"encoded\" if the model was trained on encoded features; or export the whole pipeline with one input for each column (docs/onnx.md)")
            })
        })
        .collect::<Result<_>>()?;
    let rows = numbers.first().map_or(0, Vec::len);
    Ok((0..rows)
        .flat_map(|row| numbers.iter().map(move |column| column[row]))
        .collect())
}

fn numbers(values: &QuestionValues) -> Option<Vec<f64>> {
    match values {
        QuestionValues::Numbers(values) => Some(values.clone()),
        QuestionValues::Whole(values) => Some(
            values
                .iter()
                .map(|value| value.map_or(f64::NAN, |v| v as f64))
                .collect(),
        ),
        QuestionValues::Truths(values) => Some(
            values
                .iter()
                .map(|value| value.map_or(f64::NAN, |v| f64::from(u8::from(v))))
                .collect(),
        ),
        QuestionValues::Texts(_) => None,
    }
}

/// The values of a column as elements of a type. Missing ones are `NaN` among floats and
/// `missing_text` among texts; other types have no place for them.
fn convert(
    values: &QuestionValues,
    element: Element,
    missing_text: Option<&str>,
) -> Result<Elements> {
    let as_numbers = || {
        numbers(values).ok_or_else(|| {
            Error::input(format!(
                "the model takes {element}, and the column has texts"
            ))
            .hint("see whether the column was read as the model's training read it")
        })
    };
    Ok(match element {
        Element::Float => Elements::Floats(as_numbers()?.into_iter().map(|v| v as f32).collect()),
        Element::Double => Elements::Doubles(as_numbers()?),
        Element::Int64 => Elements::Longs(wholes(values, element)?),
        Element::Int32 => Elements::Ints(
            wholes(values, element)?
                .into_iter()
                .map(|value| {
                    i32::try_from(value).map_err(|_| {
                        Error::input(format!("the model takes int32, and {value} is none"))
                            .hint("export the model with int64 or float for this input")
                    })
                })
                .collect::<Result<_>>()?,
        ),
        Element::Truth => Elements::Truths(
            wholes(values, element)?
                .into_iter()
                .map(|value| match value {
                    0 => Ok(false),
                    1 => Ok(true),
                    other => Err(Error::input(format!(
                        "the model takes truth values, and {other} is none"
                    ))
                    .hint("see whether the column was read as the model's training read it")),
                })
                .collect::<Result<_>>()?,
        ),
        Element::Text => Elements::Texts(texts(values, missing_text)?),
        Element::Other(_) => {
            return Err(Error::input(format!("{element} cannot be asked")).hint(ELEMENTS));
        }
    })
}

fn wholes(values: &QuestionValues, element: Element) -> Result<Vec<i64>> {
    let missing = |row: usize| {
        Error::input(format!(
            "the model takes {element}, which has no missing values, and one is missing"
        ))
        .at(format!("question {}", row + 1))
        .hint("export the model with float for this input: a missing number is NaN there")
    };
    match values {
        QuestionValues::Whole(values) => values
            .iter()
            .enumerate()
            .map(|(row, value)| value.ok_or_else(|| missing(row)))
            .collect(),
        QuestionValues::Truths(values) => values
            .iter()
            .enumerate()
            .map(|(row, value)| value.map(i64::from).ok_or_else(|| missing(row)))
            .collect(),
        QuestionValues::Numbers(values) => values
            .iter()
            .enumerate()
            .map(|(row, &value)| {
                if value.is_nan() {
                    return Err(missing(row));
                }
                // Every whole number up to 2^53 is a double; beyond, a double may stand for another.
                if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
                    Ok(value as i64)
                } else {
                    Err(Error::input(format!(
                        "the model takes {element}, and {value} is no whole number"
                    ))
                    .at(format!("question {}", row + 1))
                    .hint("export the model with float for this input"))
                }
            })
            .collect(),
        QuestionValues::Texts(_) => Err(Error::input(format!(
            "the model takes {element}, and the column has texts"
        ))
        .hint("see whether the column was read as the model's training read it")),
    }
}

/// Texts; whole numbers in digits and truth values as Python writes them, as pandas would make
/// texts of such columns.
fn texts(values: &QuestionValues, missing: Option<&str>) -> Result<Vec<String>> {
    let or_missing = |row: usize, text: Option<String>| {
        text.or_else(|| missing.map(str::to_owned)).ok_or_else(|| {
            Error::input("a text is missing, and ONNX has no missing texts")
                .at(format!("question {}", row + 1))
                .hint("set missing-text to what stood for missing texts when the model was trained, such as \"\"")
        })
    };
    match values {
        QuestionValues::Texts(values) => values
            .iter()
            .enumerate()
            .map(|(row, value)| or_missing(row, value.clone()))
            .collect(),
        QuestionValues::Whole(values) => values
            .iter()
            .enumerate()
            .map(|(row, value)| or_missing(row, value.map(|v| v.to_string())))
            .collect(),
        QuestionValues::Truths(values) => values
            .iter()
            .enumerate()
            .map(|(row, value)| {
                or_missing(
                    row,
                    value.map(|v| if v { "True" } else { "False" }.to_owned()),
                )
            })
            .collect(),
        QuestionValues::Numbers(_) => Err(Error::input(
            "the model takes texts, and the column has numbers with fractions",
        )
        .hint("see whether the column was read as the model's training read it")),
    }
}

/// What skl2onnx 1.20 calls the input of each column: letters, digits, `_` and `+` stay, the
/// rest becomes `_`; no digit in front; a number behind where the name is taken.
fn exported_names(columns: &[QuestionColumn]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    columns
        .iter()
        .map(|column| {
            let mut name: String = column
                .name
                .chars()
                .map(|c| {
                    if c.is_alphanumeric() || c == '_' || c == '+' {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                name.insert(0, '_');
            }
            if taken.contains(&name) {
                let free = (1_usize..).find_map(|number| {
                    let numbered = format!("{name}{number}");
                    (!taken.contains(&numbered)).then_some(numbered)
                });
                name = free.unwrap_or(name);
            }
            taken.insert(name.clone());
            name
        })
        .collect()
}

fn column_for<'a>(
    input: &str,
    exported: &[String],
    columns: &'a [QuestionColumn],
) -> Result<&'a QuestionColumn> {
    columns
        .iter()
        .find(|column| column.name == input)
        .or_else(|| {
            let place = exported.iter().position(|name| name == input)?;
            columns.get(place)
        })
        .ok_or_else(|| {
            let names: Vec<&str> = columns.iter().take(20).map(|c| c.name.as_str()).collect();
            Error::input(format!("the model has an input {input:?}, and the data have no such column"))
                .hint(format!(
                    "the columns are {}{}; name them as in the model's training, or export the model anew",
                    names.join(", "),
                    if columns.len() > names.len() { ", …" } else { "" }
                ))
        })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn column(name: &str, values: QuestionValues) -> QuestionColumn {
        QuestionColumn {
            name: name.to_owned(),
            values,
        }
    }

    fn questions(encoded: usize, columns: Vec<QuestionColumn>) -> Questions {
        let rows = columns.first().map_or(2, |column| column.values.len());
        Questions {
            features: Array2::from_shape_fn((rows, encoded), |(i, j)| (10 * i + j) as f32),
            feature_names: (0..encoded).map(|j| format!("f{j}")).collect(),
            columns,
        }
    }

    fn port(name: &str, element: Element, dims: &[Option<usize>]) -> Port {
        Port {
            name: name.to_owned(),
            holds: Holds::Tensor {
                element,
                dims: Some(dims.to_vec()),
            },
        }
    }

    fn plan(ports: &[Port], settings: &OnnxSettings) -> Inputs {
        Inputs::plan(ports, settings).unwrap().0
    }

    #[test]
    fn names_are_rewritten_as_skl2onnx_does() {
        // From skl2onnx 1.20's Topology._generate_unique_name.
        let empty = || QuestionValues::Numbers(vec![]);
        let columns = [
            "hours per-week",
            "1st",
            "état",
            "a+b",
            "a b",
            "a-b",
            "a.b",
            "a_b2",
        ]
        .map(|name| column(name, empty()));
        assert_eq!(
            exported_names(&columns),
            [
                "hours_per_week",
                "_1st",
                "état",
                "a+b",
                "a_b",
                "a_b1",
                "a_b2",
                "a_b21"
            ]
        );
    }

    #[test]
    fn columns_go_into_their_inputs_in_their_types() {
        let ports = [
            port("sex", Element::Text, &[None, Some(1)]),
            port("years_of_age", Element::Int64, &[None, Some(1)]),
            port("income", Element::Float, &[None, Some(1)]),
            port("ill", Element::Truth, &[None]),
        ];
        let asked = questions(
            7,
            vec![
                column("income", QuestionValues::Whole(vec![Some(5), None])),
                column("years of age", QuestionValues::Numbers(vec![30.0, 40.0])),
                column("unused", QuestionValues::Texts(vec![None, None])),
                column("sex", QuestionValues::Texts(vec![Some("f".into()), None])),
                column("ill", QuestionValues::Truths(vec![Some(true), Some(false)])),
            ],
        );
        let mut settings = OnnxSettings::default();
        let error = plan(&ports, &settings).tensors(&asked).unwrap_err();
        assert!(error.hint_text().unwrap().contains("missing-text"));
        settings.missing_text = Some("?".to_owned());
        let inputs = plan(&ports, &settings);
        assert_eq!(inputs.form(), Form::Raw);
        let tensors = inputs.tensors(&asked).unwrap();
        assert_eq!(
            tensors[0].elements,
            Elements::Texts(vec!["f".to_owned(), "?".to_owned()])
        );
        assert_eq!(tensors[1].elements, Elements::Longs(vec![30, 40]));
        assert!(
            matches!(tensors[2].elements, Elements::Floats(ref v) if v[0].to_bits() == 5.0_f32.to_bits() && v[1].is_nan())
        );
        assert_eq!(tensors[3].elements, Elements::Truths(vec![true, false]));
        assert_eq!((tensors[0].dims.len(), tensors[3].dims.len()), (2, 1));
    }

    #[test]
    fn what_does_not_fit_an_input_is_named() {
        let ports = [
            port("a", Element::Int64, &[None, Some(1)]),
            port("b", Element::Text, &[None, Some(1)]),
        ];
        let inputs = plan(&ports, &OnnxSettings::default());
        let text = || column("b", QuestionValues::Texts(vec![Some("x".into())]));
        for (values, word) in [
            (QuestionValues::Numbers(vec![2.5]), "2.5"),
            (QuestionValues::Numbers(vec![f64::NAN]), "missing"),
            (QuestionValues::Whole(vec![None]), "missing"),
            (QuestionValues::Texts(vec![Some("x".into())]), "texts"),
        ] {
            let error = inputs
                .tensors(&questions(1, vec![column("a", values), text()]))
                .unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().contains("\"a\""), "{error}");
        }
        let error = inputs.tensors(&questions(1, vec![text()])).unwrap_err();
        assert!(error.to_string().contains("\"a\""), "{error}");
    }

    #[test]
    fn the_form_is_decided_by_the_width() {
        let numbers = |count: usize| -> Vec<QuestionColumn> {
            (0..count)
                .map(|i| column(&format!("c{i}"), QuestionValues::Numbers(vec![0.5, 1.5])))
                .collect()
        };
        let ports = [port("x", Element::Float, &[None, Some(3)])];
        for (encoded, raw, form) in [
            (3, 2, Form::Encoded),
            (3, 3, Form::Raw),
            (4, 3, Form::Raw),
            (4, 5, Form::Encoded),
        ] {
            let mut inputs = plan(&ports, &OnnxSettings::default());
            let example = questions(encoded, numbers(raw));
            inputs.decide(&example);
            assert_eq!(inputs.form(), form, "{encoded} and {raw}");
            assert_eq!(inputs.tensors(&example).is_ok(), (encoded, raw) != (4, 5));
        }
        // Without an example the other form is suggested.
        let error = plan(&ports, &OnnxSettings::default())
            .tensors(&questions(4, numbers(3)))
            .unwrap_err();
        assert!(error.hint_text().unwrap().contains("raw"), "{error}");
    }

    #[test]
    fn images_are_turned_to_the_layout_of_the_model() {
        // One image of 5 × 5 pixels with 2 channels; its value is 100 × channel + pixel.
        let mut asked = questions(50, vec![]);
        asked.features = Array2::from_shape_fn((1, 50), |(_, j)| (100 * (j % 2) + j / 2) as f32);
        let tensor = |dims: &[usize], layout| {
            let dims: Vec<Option<usize>> = std::iter::once(None)
                .chain(dims.iter().map(|&d| Some(d)))
                .collect();
            let settings = OnnxSettings {
                layout,
                ..OnnxSettings::default()
            };
            let inputs = plan(&[port("x", Element::Float, &dims)], &settings);
            let [tensor] = &inputs.tensors(&asked).unwrap()[..] else {
                panic!("one tensor")
            };
            match &tensor.elements {
                Elements::Floats(values) => values.clone(),
                other => panic!("{other:?}"),
            }
        };
        let first = tensor(&[2, 5, 5], Layout::Auto);
        assert_eq!((first[1], first[25]), (1.0, 100.0));
        let last = tensor(&[5, 5, 2], Layout::Auto);
        assert_eq!((last[1], last[2]), (100.0, 1.0));
        assert_eq!(tensor(&[2, 5, 5], Layout::ChannelsLast), last);
    }

    #[test]
    fn strange_inputs_are_refused() {
        let settings = OnnxSettings::default();
        let maps = Port {
            name: "x".to_owned(),
            holds: Holds::Maps,
        };
        let halves = port("x", Element::Other(10), &[None, Some(3)]);
        let wide = [
            port("x", Element::Float, &[None, Some(3)]),
            port("y", Element::Float, &[None, Some(1)]),
        ];
        for ports in [
            &[][..],
            &[maps],
            &[halves],
            &wide,
            &[port("x", Element::Float, &[None])],
        ] {
            let error = Inputs::plan(ports, &settings).unwrap_err();
            assert!(error.hint_text().is_some(), "{error}");
        }
        // A width that no data has, and a product beyond all numbers.
        let huge = [port(
            "x",
            Element::Float,
            &[None, Some(usize::MAX), Some(usize::MAX)],
        )];
        assert!(
            plan(&huge, &settings)
                .tensors(&questions(4, vec![]))
                .is_err()
        );
    }
}
