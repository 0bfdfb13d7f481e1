//! What an ONNX file says of itself: inputs, outputs, operators, classes, other files.
//!
//! Read before any engine sees the file, so that both engines are told the same of a model and
//! a file that is damaged or hostile is refused with one clear error. Field numbers are those
//! of `onnx.proto` (ONNX 1.23).

mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use giveaway::error::{Error, Result};

use wire::{DEEPEST, Malformed, Value, fields};

/// Protocol buffers end at 2 GiB; larger models keep their weights in other files.
const LARGEST: u64 = 1 << 31;

/// The type of the elements of a tensor, as far as inputs and outputs here go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float,
    Double,
    Int32,
    Int64,
    Truth,
    Text,
    /// Another, by its number in `TensorProto.DataType`.
    Other(i64),
}

impl Element {
    fn of(code: i64) -> Self {
        match code {
            1 => Self::Float,
            11 => Self::Double,
            6 => Self::Int32,
            7 => Self::Int64,
            9 => Self::Truth,
            8 => Self::Text,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "float",
            Self::Double => "double",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Truth => "bool",
            Self::Text => "string",
            Self::Other(2) => "uint8",
            Self::Other(3) => "int8",
            Self::Other(10) => "float16",
            Self::Other(16) => "bfloat16",
            Self::Other(code) => return write!(f, "element type {code}"),
        })
    }
}

/// What an input or output holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A tensor; `None` is a dimension that is not fixed. `dims` is `None` where not even
    /// their number is known.
    Tensor {
        element: Element,
        dims: Option<Vec<Option<usize>>>,
    },
    /// A map from classes to numbers for each record, as skl2onnx's `ZipMap` makes.
    Maps,
    /// Sequences of other things, optional values, sparse tensors.
    SomethingElse,
}

/// An input or output of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) holds: Holds,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (", self.name)?;
        match &self.holds {
            Holds::Tensor { element, dims } => {
                write!(f, "{element}")?;
                if let Some(dims) = dims {
                    let dims: Vec<String> = dims
                        .iter()
                        .map(|dim| dim.map_or_else(|| "?".to_owned(), |size| size.to_string()))
                        .collect();
                    write!(f, " [{}]", dims.join(", "))?;
                }
            }
            Holds::Maps => f.write_str("a map for each record")?,
            Holds::SomethingElse => f.write_str("no tensor")?,
        }
        f.write_str(")")
    }
}

/// A node of the graph, without its weights.
#[derive(Clone, Debug, Default)]
struct Node {
    inputs: Vec<String>,
    outputs: Vec<String>,
    operator: String,
    domain: String,
    /// `classlabels_strings`, `classlabels_int64s` or `classlabels_ints`.
    classes: Vec<String>,
}

/// What a file says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// Whether weights are in other files.
    pub(crate) external: bool,
    nodes: Vec<Node>,
    /// One-dimensional constants of texts or whole numbers, in words: they may be classes.
    constants: BTreeMap<String, Vec<String>>,
}

/// Reads a file and what it says of itself.
///
/// # Errors
/// If it cannot be read, is no ONNX model, is damaged, or lacks a file that it names.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Model)> {
    let io = |error: &std::io::Error| Error::io("read the ONNX model", path, error);
    let about = std::fs::metadata(path).map_err(|e| io(&e))?;
    if about.is_dir() {
        return Err(io(&std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if about.len() >= LARGEST {
        return Err(Error::input("an ONNX file of 2 GiB or more")
            .at(path.display())
            .hint("no reader takes such a file: save the model with external data, which keeps the weights beside it"));
    }
    let bytes = std::fs::read(path).map_err(|e| io(&e))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let model = parse(&bytes, folder).map_err(|error| error.at(path.display()))?;
    Ok((bytes, model))
}

fn parse(bytes: &[u8], folder: &Path) -> Result<Model> {
    let mut reader = Reader::default();
    let mut graph = None;
    let mut version = None;
    let mut operators = false;
    fields(bytes, |field, value| {
        match field {
            1 => version = Some(value.whole()?),
            7 => graph = Some(value.bytes()?),
            8 => operators = true,
            _ => {}
        }
        Ok(())
    })
    .and_then(|()| graph.map_or(Ok(()), |graph| reader.graph(graph, 0)))
    .map_err(refused)?;
    if graph.is_none() || version.is_none() || reader.model.outputs.is_empty() {
        return Err(refused(Malformed::NotAMessage));
    }
    // Written after the graph, so it is missing where a file was cut between the two.
    if !operators {
        return Err(refused(Malformed::CutOff));
    }
    if let Some(tensor) = reader.impossible {
        return Err(Error::input(format!(
            "the constant {tensor:?} has more elements than the file has data for"
        ))
        .hint("the file is damaged: export the model again"));
    }
    for location in &reader.files {
        check_file(folder, location)?;
    }
    let mut model = reader.model;
    model.external = !reader.files.is_empty();
    // Weights were listed among the inputs before version 4 of the format.
    model
        .inputs
        .retain(|input| !reader.initialised.contains(&input.name));
    Ok(model)
}

fn refused(malformed: Malformed) -> Error {
    match malformed {
        Malformed::CutOff => Error::input("not an ONNX model, or cut off")
            .hint("export or copy the model again; an ONNX file is written by skl2onnx or torch.onnx.export"),
        Malformed::NotAMessage => Error::input("not an ONNX model").hint(
            "give an ONNX file, as skl2onnx or torch.onnx.export write it; docs/onnx.md shows how",
        ),
        Malformed::TooDeep => Error::input("an ONNX model with graphs in graphs, too deep to follow"),
    }
}

fn check_file(folder: &Path, location: &str) -> Result<()> {
    let inside = Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || location.is_empty() {
        return Err(Error::input(format!(
            "the model keeps weights in {location:?}, which is outside its folder"
        ))
        .hint("export the model again with its weights beside it, or inside"));
    }
    if !folder.join(location).is_file() {
        return Err(Error::input(format!(
            "the model keeps weights in {location:?}, and there is no such file beside it"
        ))
        .hint(
            "copy that file into the model's folder, or export with the weights inside (torch.onnx.export(…, external_data=False))",
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Reader {
    model: Model,
    initialised: std::collections::BTreeSet<String>,
    files: std::collections::BTreeSet<String>,
    /// A tensor whose dimensions promise more than its bytes can hold.
    impossible: Option<String>,
}

impl Reader {
    /// Of graphs within nodes only the nodes and constants count.
    fn graph(&mut self, message: &[u8], depth: usize) -> std::result::Result<(), Malformed> {
        if depth > DEEPEST {
            return Err(Malformed::TooDeep);
        }
        fields(message, |field, value| {
            match field {
                1 => self.node(value.bytes()?, depth)?,
                5 => {
                    let name = self.tensor(value.bytes()?)?;
                    self.initialised.insert(name);
                }
                11 if depth == 0 => self.model.inputs.push(port(value.bytes()?)?),
                12 if depth == 0 => self.model.outputs.push(port(value.bytes()?)?),
                _ => {}
            }
            Ok(())
        })
    }

    fn node(&mut self, message: &[u8], depth: usize) -> std::result::Result<(), Malformed> {
        let mut node = Node::default();
        fields(message, |field, value| {
            match field {
                1 => node.inputs.push(value.text()?),
                2 => node.outputs.push(value.text()?),
                4 => node.operator = value.text()?,
                5 => self.attribute(value.bytes()?, depth, &mut node)?,
                7 => node.domain = value.text()?,
                _ => {}
            }
            Ok(())
        })?;
        self.model.nodes.push(node);
        Ok(())
    }

    fn attribute(
        &mut self,
        message: &[u8],
        depth: usize,
        node: &mut Node,
    ) -> std::result::Result<(), Malformed> {
        let (mut name, mut numbers, mut texts) = (String::new(), Vec::new(), Vec::new());
        fields(message, |field, value| {
            match field {
                1 => name = value.text()?,
                5 | 10 => {
                    self.tensor(value.bytes()?)?;
                }
                6 | 11 => self.graph(value.bytes()?, depth + 1)?,
                8 => value.wholes(&mut numbers)?,
                9 => texts.push(value.text()?),
                _ => {}
            }
            Ok(())
        })?;
        if name.starts_with("classlabels") {
            node.classes
                .extend(numbers.iter().map(ToString::to_string).chain(texts));
        }
        Ok(())
    }

    /// Checks a tensor, notes the file that it is in, and returns its name.
    fn tensor(&mut self, message: &[u8]) -> std::result::Result<String, Malformed> {
        let (mut name, mut element, mut dims) = (String::new(), 0, Vec::new());
        let (mut elsewhere, mut location) = (false, None);
        let (mut texts, mut numbers, mut raw) = (Vec::new(), Vec::new(), None);
        fields(message, |field, value| {
            match field {
                1 => value.wholes(&mut dims)?,
                2 => element = value.whole()?,
                6 => texts.push(value.text()?),
                5 | 7 => value.wholes(&mut numbers)?,
                8 => name = value.text()?,
                9 => raw = Some(value.bytes()?),
                13 => {
                    if let Some(file) = location_of(value.bytes()?)? {
                        location = Some(file);
                    }
                }
                14 => elsewhere = value.whole()? == 1,
                _ => {}
            }
            Ok(())
        })?;
        // A crude bound that holds for every type: four elements of the smallest in a byte.
        let elements = dims.iter().try_fold(1_u64, |product, &dim| {
            product.checked_mul(u64::try_from(dim).ok()?)
        });
        if elements.is_none()
            || (!elsewhere && elements.is_some_and(|n| n / 4 > message.len() as u64))
        {
            self.impossible.get_or_insert(name.clone());
        }
        if elsewhere {
            self.files.insert(location.unwrap_or_default());
        } else if matches!(element, 6..=8) {
            let values = match raw {
                Some(raw) if element == 7 => raw
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|&bytes| i64::from_le_bytes(bytes).to_string())
                    .collect(),
                Some(raw) if element == 6 => raw
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|&bytes| i32::from_le_bytes(bytes).to_string())
                    .collect(),
                _ if element == 8 => texts,
                _ => numbers.iter().map(ToString::to_string).collect(),
            };
            self.model.constants.insert(name.clone(), values);
        }
        Ok(name)
    }
}

/// The file of an entry of `external_data`, if it is the one with the location.
fn location_of(message: &[u8]) -> std::result::Result<Option<String>, Malformed> {
    let (mut key, mut text) = (String::new(), String::new());
    fields(message, |field, value| {
        match field {
            1 => key = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key == "location").then_some(text))
}

fn port(message: &[u8]) -> std::result::Result<Port, Malformed> {
    let mut port = Port {
        name: String::new(),
        holds: Holds::SomethingElse,
    };
    fields(message, |field, value| {
        match field {
            1 => port.name = value.text()?,
            2 => port.holds = holds(value.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(port)
}

fn holds(message: &[u8]) -> std::result::Result<Holds, Malformed> {
    let mut holds = Holds::SomethingElse;
    fields(message, |field, value| {
        match field {
            1 => holds = tensor_type(value.bytes()?)?,
            4 => {
                fields(value.bytes()?, |field, element| {
                    if field == 1 {
                        fields(element.bytes()?, |field, _| {
                            if field == 5 {
                                holds = Holds::Maps;
                            }
                            Ok(())
                        })?;
                    }
                    Ok(())
                })?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(holds)
}

fn tensor_type(message: &[u8]) -> std::result::Result<Holds, Malformed> {
    let (mut element, mut dims) = (Element::Other(0), None);
    fields(message, |field, value| {
        match field {
            1 => element = Element::of(value.whole()?),
            2 => {
                let mut sizes = Vec::new();
                fields(value.bytes()?, |field, dim| {
                    if field == 1 {
                        sizes.push(dimension(dim)?);
                    }
                    Ok(())
                })?;
                dims = Some(sizes);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(Holds::Tensor { element, dims })
}

/// A dimension; 0 and less stand for one that is not fixed, as some exporters write it.
fn dimension(value: Value<'_>) -> std::result::Result<Option<usize>, Malformed> {
    let mut size = None;
    fields(value.bytes()?, |field, value| {
        if field == 1 {
            size = usize::try_from(value.whole()?)
                .ok()
                .filter(|&size| size > 0);
        }
        Ok(())
    })?;
    Ok(size)
}

impl Model {
    #[cfg(test)]
    pub(crate) fn with_outputs(outputs: Vec<Port>) -> Self {
        Self {
            outputs,
            ..Self::default()
        }
    }

    /// The names of the classes in the order of the columns of an output, where the model
    /// says so: at the node that makes the output, or at the one that makes the labels.
    pub(crate) fn classes_of(&self, output: &str) -> Option<Vec<String>> {
        let labels = self.outputs.iter().filter(|port| {
            matches!(&port.holds, Holds::Tensor { element, .. }
                if matches!(element, Element::Int32 | Element::Int64 | Element::Text))
        });
        std::iter::once(output)
            .chain(labels.map(|port| port.name.as_str()))
            .find_map(|name| self.classes_at(name))
    }

    /// Goes back from a value through nodes that only rearrange it.
    fn classes_at(&self, name: &str) -> Option<Vec<String>> {
        let mut name = name;
        for _ in 0..self.nodes.len().min(100) {
            let node = self
                .nodes
                .iter()
                .find(|node| node.outputs.iter().any(|output| output == name))?;
            if !node.classes.is_empty() {
                return Some(node.classes.clone());
            }
            let source = node.inputs.first()?;
            match node.operator.as_str() {
                // The class at the position of the largest output, as for networks of scikit-learn.
                "ArrayFeatureExtractor" | "Gather" => {
                    return self.constants.get(source).cloned();
                }
                "Cast" | "Flatten" | "Identity" | "Normalizer" | "Reshape" | "Squeeze"
                | "Unsqueeze" => name = source,
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(name: &str) -> Model {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../conformance/onnx")
            .join(name);
        read(&path).unwrap().1
    }

    #[test]
    fn inputs_and_outputs_are_those_that_onnx_lists() {
        // Printed by `onnx.load` (ONNX 1.23.2).
        let ports = |ports: &[Port]| ports.iter().map(ToString::to_string).collect::<Vec<_>>();
        let table = example("table.onnx");
        assert_eq!(
            ports(&table.inputs),
            [
                "\"age\" (int64 [?, 1])",
                "\"hours_per_week\" (float [?, 1])",
                "\"work_class\" (string [?, 1])",
                "\"sex\" (string [?, 1])"
            ]
        );
        assert_eq!(
            ports(&table.outputs),
            ["\"label\" (string [?])", "\"probabilities\" (float [?, 2])"]
        );
        let network = example("network-one.onnx");
        assert_eq!(ports(&network.inputs), ["\"image\" (float [1, 1, 8, 8])"]);
        let maps = example("forest-zipmap.onnx");
        assert_eq!(
            ports(&maps.outputs)[1],
            "\"output_probability\" (a map for each record)"
        );
    }

    #[test]
    fn classes_are_read_where_the_model_has_them() {
        let wine = ["barbera", "grignolino", "nebbiolo"].map(str::to_owned);
        for (name, output) in [
            ("forest.onnx", "probabilities"),
            ("forest-zipmap.onnx", "output_probability"),
            ("mlp.onnx", "probabilities"),
        ] {
            assert_eq!(example(name).classes_of(output).unwrap(), wine, "{name}");
        }
        for (name, classes) in [
            ("boosting.onnx", 3),
            ("logistic.onnx", 2),
            ("scaled.onnx", 2),
        ] {
            let expected: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
            assert_eq!(example(name).classes_of("probabilities"), Some(expected));
        }
        assert_eq!(example("network.onnx").classes_of("logits"), None);
    }

    #[test]
    fn cut_anywhere_a_file_is_refused_or_read_but_never_a_panic() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/onnx/mlp.onnx");
        let bytes = std::fs::read(path).unwrap();
        let mut whole = Vec::new();
        for length in 0..bytes.len() {
            match parse(&bytes[..length], Path::new("")) {
                Ok(_) => whole.push(length),
                Err(error) => assert!(error.hint_text().is_some(), "{error}"),
            }
        }
        // The last field names the version of the second set of operators: without it the file
        // is a model still, if not one that an engine takes.
        let second = bytes.windows(10).rposition(|w| w == b"ai.onnx.ml").unwrap();
        assert_eq!(whole, [second - 4]);
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x55;
            let _ = parse(&damaged, Path::new(""));
        }
    }

    #[test]
    fn what_the_file_cannot_hold_is_refused() {
        // A tensor "w" with 2^40 floats and no data, in a graph with an output "y".
        let mut tensor = vec![0x08];
        let mut size: u64 = 1 << 40;
        while size >= 128 {
            tensor.push((size & 127) as u8 | 128);
            size >>= 7;
        }
        tensor.extend([size as u8, 0x10, 1, 0x42, 1, b'w']);
        let mut graph = vec![0x2a, tensor.len() as u8];
        graph.extend(&tensor);
        graph.extend([0x62, 3, 0x0a, 1, b'y']);
        let mut model = vec![0x08, 8, 0x3a, graph.len() as u8];
        model.extend(&graph);
        model.extend([0x42, 2, 0x10, 17]);
        let error = parse(&model, Path::new("")).unwrap_err();
        assert!(error.to_string().contains("\"w\""), "{error}");
    }

    #[test]
    fn weights_elsewhere_must_be_there_and_beside_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/onnx");
        let path = folder.path().join("external.onnx");
        std::fs::copy(shipped.join("external.onnx"), &path).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("external.bin"), "{error}");
        std::fs::copy(
            shipped.join("external.bin"),
            folder.path().join("external.bin"),
        )
        .unwrap();
        assert!(read(&path).unwrap().1.external);
        for outside in ["/etc/passwd", "../external.bin", ""] {
            assert!(check_file(folder.path(), outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn other_files_are_named_as_such() {
        for other in [
            &b"PK\x03\x04 a zip file"[..],
            b"",
            b"{\"json\": 1}",
            b"\x80\x04\x95pickle",
        ] {
            let error = parse(other, Path::new("")).unwrap_err();
            assert!(error.to_string().contains("not an ONNX model"), "{error}");
        }
    }
}
