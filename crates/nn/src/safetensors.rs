//! Weights as safetensors files (<https://github.com/huggingface/safetensors>), with the
//! names and layouts that PyTorch's `load_state_dict` wants.
//!
//! A file is the length of its header (8 bytes, little endian), the header as JSON, and the
//! tensors one after another. Written and read here: the `safetensors` crate writes metadata
//! in an order that changes from run to run, and version 0.8.0 adds up sizes that a hostile
//! header gives without looking for overflow.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Array4};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::Network;
use crate::kernel::{Kernel, kernel};
use crate::memory;
use crate::model::Weights;
use crate::trained::{Dense, EpochLoss, Filters, Trained};

/// Bytes of a header that are still read, as many as the `safetensors` crate reads. Ours take
/// a hundred or two for each layer, and up to a hundred for each epoch of the history.
const LONGEST_HEADER: u64 = 100_000_000;

/// The memory that a network from a file may take while it answers, in bytes. Filters of a
/// few megabytes can ask for hundreds of gigabytes: it is looked at before anything is
/// allocated.
const MOST_MEMORY: u64 = 16 << 30;

const METADATA: &str = "__metadata__";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    /// The first byte and the one after the last, from the end of the header.
    data_offsets: (usize, usize),
}

/// A tensor's name, shape and numbers in the order of the file.
type Named<'a> = (String, Vec<usize>, Box<dyn Iterator<Item = &'a f32> + 'a>);

fn refuse<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Safetensors(message.into()))
}

fn from_json(error: &serde_json::Error) -> Error {
    Error::Safetensors(format!("the header is not the JSON it should be: {error}"))
}

impl Trained {
    /// The weights as the bytes of a safetensors file, in float32.
    ///
    /// Names and layouts are those of a PyTorch module with two `ModuleList`s:
    /// `convolutions.0.weight` (outputs × inputs × rows × columns), `convolutions.0.bias`, …,
    /// `layers.0.weight` (outputs × inputs), `layers.0.bias`, …. The metadata have `format`
    /// (`pt`), and as JSON the `network` and the `history` of losses, the name of the
    /// `kernel`, and `best_epoch`. The same network gives the same bytes.
    ///
    /// # Errors
    /// If it could not be read back: the header cannot be written as JSON, has more than 100
    /// MB (that of more than a million epochs), or the network takes more than 16 GiB to answer.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, Error> {
        let json = |result: serde_json::Result<String>| result.map_err(|e| from_json(&e));
        check_memory(self.network())?;
        let metadata = BTreeMap::from([
            ("best_epoch", self.best_epoch().to_string()),
            ("format", "pt".to_owned()),
            ("history", json(serde_json::to_string(self.history()))?),
            ("kernel", self.kernel().name().to_owned()),
            ("network", json(serde_json::to_string(self.network()))?),
        ]);
        let mut header = format!(
            "{{\"{METADATA}\":{}",
            json(serde_json::to_string(&metadata))?
        );
        let mut data = Vec::new();
        for (name, shape, values) in self.tensors() {
            let start = data.len();
            for value in values {
                data.extend(value.to_le_bytes());
            }
            let tensor = Tensor {
                dtype: "F32".into(),
                shape,
                data_offsets: (start, data.len()),
            };
            header.extend([",\"", &name, "\":"]);
            header += &json(serde_json::to_string(&tensor))?;
        }
        header.push('}');
        // spaces bring the tensors to a multiple of 8 bytes
        let length = header.len().next_multiple_of(8);
        check_length(length as u64)?;
        let mut bytes = Vec::with_capacity(8 + length + data.len());
        bytes.extend((length as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(8 + length, b' ');
        bytes.extend(data);
        Ok(bytes)
    }

    fn tensors(&self) -> Vec<Named<'_>> {
        let mut tensors: Vec<Named<'_>> = Vec::new();
        for (i, filters) in self.filters().iter().enumerate() {
            let shape = filters.weight.shape().to_vec();
            let name = |part| format!("convolutions.{i}.{part}");
            tensors.push((name("weight"), shape, Box::new(filters.weight.iter())));
            let shape = vec![filters.bias.len()];
            tensors.push((name("bias"), shape, Box::new(filters.bias.iter())));
        }
        for (i, layer) in self.layers().iter().enumerate() {
            let shape = layer.weight.shape().to_vec();
            let name = |part| format!("layers.{i}.{part}");
            tensors.push((name("weight"), shape, Box::new(layer.weight.iter())));
            let shape = vec![layer.bias.len()];
            tensors.push((name("bias"), shape, Box::new(layer.bias.iter())));
        }
        tensors
    }

    /// A network from the bytes of a safetensors file, as [`Self::to_safetensors`] writes it:
    /// with the network's description under `network` in the metadata, and no other tensors
    /// than its own. Other metadata may be missing or more.
    ///
    /// It answers with the kernel that trained it, and then bit for bit as before; where the
    /// file names none, or this CPU lacks it, with the fastest.
    ///
    /// # Errors
    /// If the bytes are no such file, the network makes no sense or would take more than 16
    /// GiB to answer, a tensor is missing, too many, or of another shape or type, or a weight
    /// is not finite.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, Error> {
        let (mut tensors, metadata, data) = parse(bytes)?;
        let Some(network) = metadata.get("network") else {
            return refuse(
                "the metadata have no `network`, the description of the network as JSON",
            );
        };
        let network = network_of(network)?;
        let mut weights = Weights {
            filters: Vec::new(),
            layers: Vec::new(),
        };
        if let Some(image) = &network.image {
            let mut inputs = image.channels;
            for (i, convolution) in image.convolutions.iter().enumerate() {
                let shape = [
                    convolution.channels,
                    inputs,
                    convolution.size,
                    convolution.size,
                ];
                let name = format!("convolutions.{i}");
                let (weight, bias) = layer(&mut tensors, data, &name, &shape)?;
                let weight = Array4::from_shape_vec(shape, weight);
                weights.filters.push(Filters {
                    weight: weight.map_err(|error| Error::Safetensors(error.to_string()))?,
                    bias,
                });
                inputs = convolution.channels;
            }
        }
        for (i, pair) in network.widths().windows(2).enumerate() {
            let shape = [pair[1], pair[0]];
            let (weight, bias) = layer(&mut tensors, data, &format!("layers.{i}"), &shape)?;
            let weight = Array2::from_shape_vec(shape, weight);
            weights.layers.push(Dense {
                weight: weight.map_err(|error| Error::Safetensors(error.to_string()))?,
                bias,
            });
        }
        if let Some(name) = tensors.keys().next() {
            return refuse(format!("the network has no place for the tensor {name:?}"));
        }
        let history: Vec<EpochLoss> = match metadata.get("history") {
            Some(history) => serde_json::from_str(history).map_err(|e| from_json(&e))?,
            None => Vec::new(),
        };
        let best_epoch = match metadata.get("best_epoch") {
            Some(text) => match text.parse() {
                Ok(epoch) if epoch <= history.len() => epoch,
                _ => {
                    return refuse(format!(
                        "best_epoch is {text:?} after {} epochs",
                        history.len()
                    ));
                }
            },
            None => history.len(),
        };
        let kernel = match metadata.get("kernel") {
            Some(name) if !Kernel::NAMES.contains(&&name[..]) => {
                return refuse(format!("there is no kernel {name:?}"));
            }
            Some(name) => name.parse().unwrap_or_else(|_| kernel()),
            None => kernel(),
        };
        Ok(Self::new(&network, kernel, weights, history, best_epoch))
    }
}

type Parsed<'a> = (BTreeMap<String, Tensor>, BTreeMap<String, String>, &'a [u8]);

/// The tensors, the metadata, and the bytes that the tensors lie in.
fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return refuse(format!("{} bytes are no safetensors file", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    check_length(length)?;
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        return refuse(format!(
            "the header should have {length} bytes, but only {} follow; the file is cut off",
            rest.len()
        ));
    };
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|e| from_json(&e))?;
    let metadata = match entries.remove(METADATA) {
        Some(metadata) => serde_json::from_value(metadata).map_err(|e| from_json(&e))?,
        None => BTreeMap::new(),
    };
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let tensor: Tensor = serde_json::from_value(entry).map_err(|e| from_json(&e))?;
        tensors.insert(name, tensor);
    }
    // the format leaves no byte between tensors and none twice
    let mut offsets: Vec<_> = tensors.values().map(|tensor| tensor.data_offsets).collect();
    offsets.sort_unstable();
    let mut end = 0;
    for (from, to) in offsets {
        if from != end || to < from {
            return refuse(format!(
                "tensors do not lie one after another: {from} to {to} comes after byte {end}"
            ));
        }
        end = to;
    }
    if end != data.len() {
        return refuse(format!(
            "the tensors should have {end} bytes, but {} are there",
            data.len()
        ));
    }
    Ok((tensors, metadata, data))
}

/// A network from its JSON that makes sense and can answer in the memory there may be.
fn network_of(json: &str) -> Result<Network, Error> {
    let network: Network = serde_json::from_str(json).map_err(|e| from_json(&e))?;
    network.check()?;
    check_memory(&network)?;
    Ok(network)
}

fn check_length(header: u64) -> Result<(), Error> {
    if header > LONGEST_HEADER {
        return refuse(format!(
            "a header of {header} bytes; none of more than {LONGEST_HEADER} is read"
        ));
    }
    Ok(())
}

fn check_memory(network: &Network) -> Result<(), Error> {
    let bytes = memory::asking(network, 1) as u64;
    if bytes > MOST_MEMORY {
        return refuse(format!(
            "the network would take {} GiB of memory to answer; at most {} are allowed",
            bytes.div_ceil(1 << 30),
            MOST_MEMORY >> 30
        ));
    }
    Ok(())
}

/// Takes the weights and biases of a layer.
fn layer(
    tensors: &mut BTreeMap<String, Tensor>,
    data: &[u8],
    name: &str,
    shape: &[usize],
) -> Result<(Vec<f32>, Array1<f32>), Error> {
    let weight = numbers(tensors, data, &format!("{name}.weight"), shape)?;
    let bias = numbers(tensors, data, &format!("{name}.bias"), &shape[..1])?;
    Ok((weight, bias.into()))
}

/// Takes a tensor of this name and shape.
fn numbers(
    tensors: &mut BTreeMap<String, Tensor>,
    data: &[u8],
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, Error> {
    let Some(tensor) = tensors.remove(name) else {
        return refuse(format!("the network needs a tensor {name:?}"));
    };
    if tensor.dtype != "F32" {
        return refuse(format!(
            "{name:?} is of type {}; only F32 is read, so convert it with float()",
            tensor.dtype
        ));
    }
    if tensor.shape != shape {
        return refuse(format!(
            "{name:?} has the shape {:?}; the network needs {shape:?}",
            tensor.shape
        ));
    }
    // `parse` made sure that the offsets lie within the data
    let bytes = &data[tensor.data_offsets.0..tensor.data_offsets.1];
    let count = shape.iter().try_fold(4usize, |n, &d| n.checked_mul(d));
    if count != Some(bytes.len()) {
        return refuse(format!(
            "{name:?} has {} bytes for the shape {shape:?}",
            bytes.len()
        ));
    }
    let (numbers, _) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
    if !numbers.iter().all(|x| x.is_finite()) {
        return refuse(format!("{name:?} has a number that is not finite"));
    }
    Ok(numbers)
}
