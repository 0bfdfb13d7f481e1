//! The file in which a command saved its model, as weights of ours: a safetensors file with one
//! tensor of bytes, `model`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A larger model is not read into memory.
const MOST_BYTES: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Header {
    model: Tensor,
}

#[derive(Serialize, Deserialize)]
struct Tensor {
    dtype: String,
    shape: [usize; 1],
    data_offsets: [usize; 2],
}

/// The weights for a file that a command saved.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: &std::io::Error| Error::io("read the model that the command saved", path, e);
    let size = path.metadata().map_err(|e| failed(&e))?.len();
    if size > MOST_BYTES {
        return Err(Error::input(format!(
            "the command saved a model of {size} bytes; no more than {MOST_BYTES} can be kept"
        ))
        .at(path.display())
        .hint("save a smaller model, or leave out what keeps models (indirect inference, --keep weights)"));
    }
    let model = std::fs::read(path).map_err(|e| failed(&e))?;
    let header = Header {
        model: Tensor {
            dtype: "U8".to_owned(),
            shape: [model.len()],
            data_offsets: [0, model.len()],
        },
    };
    let mut header = serde_json::to_vec(&header)
        .map_err(|e| Error::unexpected(format!("cannot describe a model: {e}")))?;
    // The format wants data at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(model);
    Ok(bytes)
}

/// The content of the file that a command saved.
pub(super) fn content(weights: &[u8]) -> Result<&[u8]> {
    parse(weights).ok_or_else(|| {
        Error::input("these are no weights of a model that a command saved")
            .hint("delete the file and run the audit again: the model is trained anew")
    })
}

fn parse(weights: &[u8]) -> Option<&[u8]> {
    let (length, rest) = weights.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, model) = rest.split_at_checked(length)?;
    let tensor = serde_json::from_slice::<Header>(header).ok()?.model;
    let is_whole = tensor.dtype == "U8"
        && tensor.shape == [model.len()]
        && tensor.data_offsets == [0, model.len()];
    is_whole.then_some(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        for model in [&b""[..], b"pickle", &[0xff; 1000]] {
            std::fs::write(&path, model).unwrap();
            let weights = read(&path).unwrap();
            assert_eq!(content(&weights).unwrap(), model);
            // The header's length is a multiple of 8 and says where the data are.
            assert_eq!(weights[0] % 8, 0);
            for cut in [0, 7, 8, 20] {
                assert!(content(&weights[..cut]).is_err());
            }
            if !model.is_empty() {
                let error = content(&weights[..weights.len() - 1]).unwrap_err();
                assert!(error.hint_text().is_some());
            }
        }
        assert!(read(&folder.path().join("none")).is_err());
    }
}
