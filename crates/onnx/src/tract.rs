//! tract: ONNX in Rust, with nothing to install.
//!
//! It has no `Scaler`, `ZipMap` or `OneHotEncoder`, which skl2onnx's pipelines are made of, and
//! no trees whose classes are texts. They are written anew in operators that it has before it sees the graph, after their
//! definitions in "ONNX ML operators" (ai.onnx.ml, versions 1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use giveaway::error::{Error, Result};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::tract_ndarray::{ArrayD, IxDyn};
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable,
    IntoTValue, TypedRunnableModel,
};

use crate::model::{Element, Holds, Model};
use crate::settings::OnnxSettings;
use crate::tensor::{Elements, Outcome, Tensor, as_rows, signed};
use crate::{Engine, guarded};

type Plan = Arc<TypedRunnableModel>;

/// A model, and plans for the numbers of records that were asked.
struct Tract {
    model: InferenceModel,
    /// Whether the model takes one number of records only.
    fixed: bool,
    /// tract does best where all sizes are known. Numbers of records are rounded up to powers
    /// of two, so that there are few plans.
    plans: Mutex<BTreeMap<usize, Plan>>,
}

/// Reads the model for one of its outputs.
pub(crate) fn start(
    settings: &OnnxSettings,
    bytes: &[u8],
    described: &Model,
    fixed: bool,
    output: &str,
) -> Result<Box<dyn Engine>> {
    let place = |error: Error| error.at(settings.path.display());
    let folder = settings.path.parent().and_then(|folder| folder.to_str());
    let unreadable = |why: String| {
        Error::input(format!("tract cannot load the model: {}", first_line(&why)))
            .at(settings.path.display())
            .hint("install ONNX Runtime (pip install onnxruntime), which knows more operators, and set engine = \"runtime\"")
    };
    let mut proto = guarded(|| {
        tract_onnx::onnx()
            .proto_model_for_read(&mut &bytes[..])
            .map_err(|error| format!("{error:#}"))
    })
    .map_err(unreadable)?;
    prepare(&mut proto, output);
    if let Some(missing) = missing_operator(&proto, output) {
        return Err(place(
            Error::input(format!("{missing} is not supported by tract")).hint(
                "install ONNX Runtime (pip install onnxruntime), which knows all operators, and set engine = \"runtime\"",
            ),
        ));
    }
    let model = guarded(|| {
        // Shapes that the file notes for values in between name the batch by a symbol, and here
        // it is a number.
        let parsed = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .parse(&proto, folder)
            .map_err(|error| format!("{error:#}"))?;
        match parsed.unresolved_inputs.first() {
            Some(name) => Err(format!("nothing makes the value {name:?}")),
            None => Ok(parsed.model),
        }
    })
    .map_err(unreadable)?;
    let tract = Tract {
        model,
        fixed,
        plans: Mutex::new(BTreeMap::new()),
    };
    // Where the sizes are known, what does not fit together is said now.
    if let Some(shapes) = shapes_of(described) {
        guarded(|| tract.plan(&shapes)).map_err(unreadable)?;
    }
    Ok(Box::new(tract))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The inputs for the fewest records, if all other sizes are known.
fn shapes_of(model: &Model) -> Option<Vec<(DatumType, Vec<usize>)>> {
    model
        .inputs
        .iter()
        .map(|port| match &port.holds {
            Holds::Tensor {
                element,
                dims: Some(dims),
            } => {
                let (&first, rest) = dims.split_first()?;
                let mut sizes = vec![first.unwrap_or(1)];
                for &size in rest {
                    sizes.push(size?);
                }
                let datum = match element {
                    Element::Float => f32::datum_type(),
                    Element::Double => f64::datum_type(),
                    Element::Int32 => i32::datum_type(),
                    Element::Int64 => i64::datum_type(),
                    Element::Truth => bool::datum_type(),
                    Element::Text => String::datum_type(),
                    Element::Other(_) => return None,
                };
                Some((datum, sizes))
            }
            _ => None,
        })
        .collect()
}

impl Tract {
    fn plan(&self, shapes: &[(DatumType, Vec<usize>)]) -> std::result::Result<Plan, String> {
        let records = shapes.first().map_or(1, |(_, dims)| dims[0]);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&records) {
            return Ok(Arc::clone(plan));
        }
        let make = || {
            let mut model = self.model.clone();
            for (place, (datum, dims)) in shapes.iter().enumerate() {
                model.set_input_fact(place, InferenceFact::dt_shape(*datum, dims))?;
            }
            model.into_optimized()?.into_runnable()
        };
        let plan = make().map_err(|error| format!("{error:#}"))?;
        plans.insert(records, Arc::clone(&plan));
        Ok(plan)
    }
}

impl Engine for Tract {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn run(&self, inputs: &[Tensor]) -> std::result::Result<Outcome, String> {
        let records = inputs.first().map_or(1, |tensor| tensor.dims[0]);
        let asked = if self.fixed {
            records
        } else {
            records.next_power_of_two()
        };
        let inputs: Vec<Tensor> = inputs.iter().map(|tensor| tensor.part(0, asked)).collect();
        let shapes: Vec<(DatumType, Vec<usize>)> = inputs
            .iter()
            .map(|tensor| (datum(&tensor.elements), tensor.dims.clone()))
            .collect();
        let plan = self.plan(&shapes)?;
        let values = inputs
            .into_iter()
            .map(|tensor| Ok(value(tensor)?.into_tvalue()))
            .collect::<std::result::Result<_, String>>()?;
        let outputs = plan.run(values).map_err(|error| format!("{error:#}"))?;
        let output = outputs.first().ok_or("it gave no output")?;
        Ok(crate::first_rows(outcome(output)?, records))
    }
}

fn datum(elements: &Elements) -> DatumType {
    match elements {
        Elements::Floats(_) => f32::datum_type(),
        Elements::Doubles(_) => f64::datum_type(),
        Elements::Ints(_) => i32::datum_type(),
        Elements::Longs(_) => i64::datum_type(),
        Elements::Truths(_) => bool::datum_type(),
        Elements::Texts(_) => String::datum_type(),
    }
}

fn value(tensor: Tensor) -> std::result::Result<tract_onnx::prelude::Tensor, String> {
    fn shaped<T: Datum>(
        dims: &[usize],
        elements: Vec<T>,
    ) -> std::result::Result<tract_onnx::prelude::Tensor, String> {
        ArrayD::from_shape_vec(IxDyn(dims), elements)
            .map(Into::into)
            .map_err(|error| error.to_string())
    }
    match tensor.elements {
        Elements::Floats(all) => shaped(&tensor.dims, all),
        Elements::Doubles(all) => shaped(&tensor.dims, all),
        Elements::Ints(all) => shaped(&tensor.dims, all),
        Elements::Longs(all) => shaped(&tensor.dims, all),
        Elements::Truths(all) => shaped(&tensor.dims, all),
        Elements::Texts(all) => shaped(&tensor.dims, all),
    }
}

fn outcome(output: &tract_onnx::prelude::Tensor) -> std::result::Result<Outcome, String> {
    fn words<T: Datum + ToString>(
        output: &tract_onnx::prelude::Tensor,
    ) -> std::result::Result<Outcome, String> {
        let view = output
            .to_plain_array_view::<T>()
            .map_err(|error| format!("{error:#}"))?;
        Ok(Outcome::Labels(
            view.iter().map(ToString::to_string).collect(),
        ))
    }
    match output.datum_type() {
        DatumType::F32 | DatumType::F64 => {
            let floats = output
                .cast_to::<f32>()
                .map_err(|error| format!("{error:#}"))?;
            let view = floats
                .to_plain_array_view::<f32>()
                .map_err(|error| format!("{error:#}"))?;
            as_rows(output.shape(), view.iter().copied().collect()).map(Outcome::Numbers)
        }
        DatumType::I32 => words::<i32>(output),
        DatumType::I64 => words::<i64>(output),
        DatumType::String => words::<String>(output),
        other => Err(format!(
            "its output is of the type {other:?}, which is not read"
        )),
    }
}

/// Leaves the nodes that an output needs, and writes those anew that tract lacks.
fn prepare(proto: &mut ModelProto, output: &str) {
    let version = proto
        .opset_import
        .iter()
        .find(|import| import.domain.is_empty() || import.domain == "ai.onnx")
        .map_or(0, |import| import.version);
    let Some(graph) = &mut proto.graph else {
        return;
    };
    keep_needed(graph, output);
    let used: BTreeSet<String> = graph
        .node
        .iter()
        .flat_map(|node| node.input.clone())
        .chain([output.to_owned()])
        .collect();
    for node in &mut graph.node {
        number_classes(node, &used);
        two_starts(node);
    }
    let mut constants = Vec::new();
    let mut nodes = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let known = matches!(node.domain.as_str(), "ai.onnx.ml" | "");
        let rewritten = match node.op_type.as_str() {
            "ZipMap" if known => Some(vec![plain("Identity", &node.input, &node.output)]),
            "Scaler" if known => scaler(&node, &mut constants),
            "OneHotEncoder" if known => one_hot(&node, version, &mut constants),
            _ => None,
        };
        nodes.extend(rewritten.unwrap_or_else(|| vec![node]));
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

/// Classes that are texts become their numbers where nobody looks at the labels, the first
/// output of a classifier: the probabilities are the same.
fn number_classes(node: &mut NodeProto, used: &BTreeSet<String>) {
    let numbers = match node.op_type.as_str() {
        "TreeEnsembleClassifier" => "classlabels_int64s",
        "LinearClassifier" => "classlabels_ints",
        _ => return,
    };
    if node
        .output
        .first()
        .is_some_and(|label| used.contains(label))
    {
        return;
    }
    for attribute in &mut node.attribute {
        if attribute.name == "classlabels_strings" && !attribute.strings.is_empty() {
            *attribute = AttributeProto {
                name: numbers.to_owned(),
                r#type: AttributeType::Ints.into(),
                ints: (0..signed(attribute.strings.len())).collect(),
                ..AttributeProto::default()
            };
        }
    }
}

/// Boosting with two classes adds up one score (all `class_ids` are 0) from one start; tract
/// wants a start for each class, and looks at the first.
fn two_starts(node: &mut NodeProto) {
    if node.op_type != "TreeEnsembleClassifier"
        || attribute(node, "class_ids").is_none_or(|ids| ids.ints.iter().any(|&id| id != 0))
    {
        return;
    }
    for attribute in &mut node.attribute {
        if attribute.name == "base_values" && attribute.floats.len() == 1 {
            attribute.floats.push(0.0);
        }
    }
}

/// Nodes with graphs of their own may use any value: with them nothing is left out.
fn keep_needed(graph: &mut GraphProto, output: &str) {
    graph.output.retain(|port| port.name == output);
    let nested = |node: &NodeProto| {
        node.attribute
            .iter()
            .any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
    };
    if graph.node.iter().any(nested) {
        return;
    }
    let makers: BTreeMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(place, node)| node.output.iter().map(move |name| (name.as_str(), place)))
        .collect();
    let mut needed = BTreeSet::new();
    let mut open = vec![output];
    while let Some(name) = open.pop() {
        if let Some(&place) = makers.get(name)
            && needed.insert(place)
        {
            open.extend(graph.node[place].input.iter().map(String::as_str));
        }
    }
    let mut place = 0;
    graph.node.retain(|_| {
        place += 1;
        needed.contains(&(place - 1))
    });
}

fn plain(operator: &str, inputs: &[String], outputs: &[String]) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.to_vec(),
        output: outputs.to_vec(),
        name: outputs.first().cloned().unwrap_or_default(),
        ..NodeProto::default()
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name == name)
}

/// As `TensorProto.DataType` has them.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

fn floats(name: String, values: &[f32]) -> TensorProto {
    TensorProto {
        name,
        dims: vec![signed(values.len())],
        data_type: FLOAT,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn wholes(name: String, values: Vec<i64>) -> TensorProto {
    TensorProto {
        name,
        dims: vec![signed(values.len())],
        data_type: INT64,
        int64_data: values,
        ..TensorProto::default()
    }
}

fn cast_to_float(input: String, output: String) -> NodeProto {
    let mut cast = plain("Cast", &[input], &[output]);
    cast.attribute.push(AttributeProto {
        name: "to".to_owned(),
        r#type: AttributeType::Int.into(),
        i: i64::from(FLOAT),
        ..AttributeProto::default()
    });
    cast
}

/// `Scaler`: (x − offset) × scale, in float.
fn scaler(node: &NodeProto, constants: &mut Vec<TensorProto>) -> Option<Vec<NodeProto>> {
    let ([input], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    let named = |part: &str| format!("{output}/{part}");
    for part in ["offset", "scale"] {
        constants.push(floats(named(part), &attribute(node, part)?.floats));
    }
    Some(vec![
        cast_to_float(input.clone(), named("float")),
        plain(
            "Sub",
            &[named("float"), named("offset")],
            &[named("centred")],
        ),
        plain(
            "Mul",
            &[named("centred"), named("scale")],
            &[output.clone()],
        ),
    ])
}

/// `OneHotEncoder`: a last dimension with a 1 at the value's category, and without any for a
/// value that is no category.
fn one_hot(
    node: &NodeProto,
    version: i64,
    constants: &mut Vec<TensorProto>,
) -> Option<Vec<NodeProto>> {
    let ([input], [output]) = (&node.input[..], &node.output[..]) else {
        return None;
    };
    // zeros = 0 makes an unknown value an error, which these operators cannot.
    if attribute(node, "zeros").is_some_and(|zeros| zeros.i == 0) {
        return None;
    }
    let named = |part: &str| format!("{output}/{part}");
    let texts = attribute(node, "cats_strings").filter(|texts| !texts.strings.is_empty());
    let mut nodes = Vec::new();
    let (codes, categories) = match texts {
        Some(texts) => {
            let categories: Vec<i64> = (0..signed(texts.strings.len())).collect();
            let mut mapper = plain("CategoryMapper", &[input.clone()], &[named("codes")]);
            "ai.onnx.ml".clone_into(&mut mapper.domain);
            mapper.attribute = vec![
                texts.clone(),
                AttributeProto {
                    name: "cats_int64s".to_owned(),
                    r#type: AttributeType::Ints.into(),
                    ints: categories.clone(),
                    ..AttributeProto::default()
                },
                AttributeProto {
                    name: "default_int64".to_owned(),
                    r#type: AttributeType::Int.into(),
                    i: -1,
                    ..AttributeProto::default()
                },
            ];
            nodes.push(mapper);
            (named("codes"), categories)
        }
        None => (input.clone(), attribute(node, "cats_int64s")?.ints.clone()),
    };
    constants.push(wholes(named("categories"), categories));
    let mut wider = plain("Unsqueeze", &[codes], &[named("wider")]);
    // From version 13 on the axes are an input.
    if version >= 13 {
        constants.push(wholes(named("axes"), vec![-1]));
        wider.input.push(named("axes"));
    } else {
        wider.attribute.push(AttributeProto {
            name: "axes".to_owned(),
            r#type: AttributeType::Ints.into(),
            ints: vec![-1],
            ..AttributeProto::default()
        });
    }
    nodes.push(wider);
    nodes.push(plain(
        "Equal",
        &[named("wider"), named("categories")],
        &[named("equal")],
    ));
    nodes.push(cast_to_float(named("equal"), output.clone()));
    Some(nodes)
}

/// The first operator that tract does not have, in graphs within nodes too.
fn missing_operator(proto: &ModelProto, output: &str) -> Option<String> {
    fn in_graph(graph: &GraphProto, known: &dyn Fn(&NodeProto) -> bool) -> Option<String> {
        graph.node.iter().find_map(|node| {
            if !known(node) {
                let domain = if node.domain.is_empty() {
                    "ai.onnx"
                } else {
                    &node.domain
                };
                return Some(format!("the operator {domain} {}", node.op_type));
            }
            node.attribute
                .iter()
                .flat_map(|attribute| &attribute.g)
                .find_map(|graph| in_graph(graph, known))
        })
    }
    // For two classes tract compares the score of one with an empty column.
    let graph = proto.graph.as_ref()?;
    let used =
        |name: &String| name == output || graph.node.iter().any(|node| node.input.contains(name));
    if graph.node.iter().any(|node| {
        node.op_type == "TreeEnsembleClassifier" && node.output.first().is_some_and(used)
    }) {
        return Some("the label of a TreeEnsembleClassifier".to_owned());
    }
    let operators = tract_onnx::onnx().op_register.0;
    // tract goes by the name alone; the same name in another domain is another operator.
    let known = |node: &NodeProto| {
        matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml")
            && operators.contains_key(&node.op_type)
    };
    in_graph(graph, &known)
}
