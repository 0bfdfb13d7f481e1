//! Trees as a safetensors file, and back.
//!
//! The header says which arrays there are and where. Its text follows from eight numbers, which
//! are the first array (`about`). A reader takes these, makes the header that they call for, and
//! compares: so no JSON is parsed, and nothing is reserved that the file does not hold.

use std::fmt::Write as _;

use crate::ensemble::{Ensemble, Kind, LEAF, Node, Tree};
use crate::{Error, MOST_BINS};

/// The version of what is written.
const VERSION: u64 = 1;

const ABOUT: usize = 8;

/// The largest header that eight numbers can call for is shorter.
const LONGEST_HEADER: usize = 4096;

/// The numbers that lay out the file.
#[derive(Clone, Copy)]
struct Layout {
    boosting: bool,
    features: u64,
    classes: u64,
    present: u64,
    trees: u64,
    nodes: u64,
    values: u64,
}

impl Layout {
    fn about(self) -> [u64; ABOUT] {
        [
            VERSION,
            u64::from(self.boosting),
            self.features,
            self.classes,
            self.present,
            self.trees,
            self.nodes,
            self.values,
        ]
    }

    /// Scores of boosted trees.
    fn outputs(self) -> u64 {
        match self.present {
            2 => 1,
            present => present,
        }
    }

    /// Names, types, lengths and bytes of an entry of the arrays.
    fn arrays(self) -> [(&'static str, &'static str, u64, u64); 10] {
        [
            ("about", "U64", ABOUT as u64, 8),
            ("baseline", "F64", self.outputs(), 8),
            ("values", "F64", self.values, 8),
            ("tree_nodes", "U64", self.trees, 8),
            ("tree_values", "U64", self.trees, 8),
            ("node_feature", "U32", self.nodes, 4),
            ("node_bin", "U32", self.nodes, 4),
            ("node_threshold", "F32", self.nodes, 4),
            ("node_child", "U32", self.nodes, 4),
            ("present", "U32", self.present, 4),
        ]
    }

    /// The header and the bytes of data after it; nothing where these cannot be numbered.
    fn header(self) -> Option<(String, u64)> {
        let kind = if self.boosting { "boosting" } else { "forest" };
        let mut header =
            format!("{{\"__metadata__\":{{\"format\":\"giveaway-trees\",\"kind\":\"{kind}\"}}");
        let mut start = 0u64;
        for (name, dtype, length, size) in self.arrays() {
            let end = start.checked_add(length.checked_mul(size)?)?;
            // writing to a string cannot fail
            let _ = write!(
                header,
                ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{length}],\"data_offsets\":[{start},{end}]}}"
            );
            start = end;
        }
        header.push('}');
        while header.len() % 8 != 0 {
            header.push(' ');
        }
        Some((header, start))
    }
}

impl Ensemble {
    /// The trees as a safetensors file.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let (present, baseline) = match &self.kind {
            Kind::Forest => (&[][..], &[][..]),
            Kind::Boosting { present, baseline } => (&present[..], &baseline[..]),
        };
        let layout = Layout {
            boosting: matches!(self.kind, Kind::Boosting { .. }),
            features: self.features as u64,
            classes: self.classes as u64,
            present: present.len() as u64,
            trees: self.trees.len() as u64,
            nodes: self.nodes() as u64,
            values: self.trees.iter().map(|tree| tree.values.len() as u64).sum(),
        };
        // what is in memory can be numbered
        let (header, data) = layout.header().unwrap_or_default();
        let mut bytes = Vec::with_capacity(8 + header.len() + data as usize);
        let mut u64s = |numbers: &mut dyn Iterator<Item = u64>| {
            numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
        };
        u64s(&mut std::iter::once(header.len() as u64));
        bytes.extend(header.as_bytes());
        let mut u64s = |numbers: &mut dyn Iterator<Item = u64>| {
            numbers.for_each(|number| bytes.extend(number.to_le_bytes()));
        };
        u64s(&mut layout.about().into_iter());
        u64s(&mut baseline.iter().map(|x| x.to_bits()));
        let trees = &self.trees;
        u64s(
            &mut trees
                .iter()
                .flat_map(|tree| &tree.values)
                .map(|x| x.to_bits()),
        );
        u64s(&mut trees.iter().map(|tree| tree.nodes.len() as u64));
        u64s(&mut trees.iter().map(|tree| tree.values.len() as u64));
        let mut u32s = |of: &dyn Fn(&Node) -> u32| {
            for node in trees.iter().flat_map(|tree| &tree.nodes) {
                bytes.extend(of(node).to_le_bytes());
            }
        };
        u32s(&|node| node.feature);
        u32s(&|node| node.bin);
        u32s(&|node| node.threshold.to_bits());
        u32s(&|node| node.child);
        for &class in present {
            bytes.extend(u32::from(class).to_le_bytes());
        }
        bytes
    }

    /// The trees of a safetensors file that [`Self::to_safetensors`] made; they answer bit for
    /// bit as those it was made of.
    ///
    /// # Errors
    /// If the bytes are no such file, whatever they are.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes).map_err(|what| Error::Safetensors(what.to_owned()))
    }
}

/// What of the bytes has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// The next entries of so many bytes; the layout was compared with the length before.
    fn take<const SIZE: usize>(
        &mut self,
        count: u64,
    ) -> Result<impl Iterator<Item = [u8; SIZE]> + use<'a, SIZE>, &'static str> {
        let split = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(SIZE))
            .and_then(|length| self.0.split_at_checked(length));
        let (taken, rest) = split.ok_or("the file ends too early")?;
        self.0 = rest;
        Ok(taken.as_chunks::<SIZE>().0.iter().copied())
    }

    fn u64s(&mut self, count: u64) -> Result<impl Iterator<Item = u64> + use<'a>, &'static str> {
        Ok(self.take::<8>(count)?.map(u64::from_le_bytes))
    }

    fn f64s(&mut self, count: u64) -> Result<impl Iterator<Item = f64> + use<'a>, &'static str> {
        Ok(self.take::<8>(count)?.map(f64::from_le_bytes))
    }

    fn u32s(&mut self, count: u64) -> Result<impl Iterator<Item = u32> + use<'a>, &'static str> {
        Ok(self.take::<4>(count)?.map(u32::from_le_bytes))
    }
}

fn read(bytes: &[u8]) -> Result<Ensemble, &'static str> {
    let mut rest = Rest(bytes);
    let length = rest.u64s(1)?.next().unwrap_or_default();
    if length > LONGEST_HEADER as u64 {
        return Err("the header is none of trees");
    }
    let (header, data) = rest
        .0
        .split_at_checked(length as usize)
        .ok_or("the file ends too early")?;
    rest.0 = data;
    let about: Vec<u64> = rest.u64s(ABOUT as u64)?.collect();
    if about[0] != VERSION || about[1] > 1 {
        return Err("trees of a format that this version does not know");
    }
    let layout = Layout {
        boosting: about[1] == 1,
        features: about[2],
        classes: about[3],
        present: about[4],
        trees: about[5],
        nodes: about[6],
        values: about[7],
    };
    let (wanted, length) = layout.header().ok_or("sizes beyond all bounds")?;
    if wanted.as_bytes() != header {
        return Err("the header is none of trees");
    }
    if length != data.len() as u64 {
        return Err("the file is not as long as its header says");
    }
    if !(1..u64::from(LEAF)).contains(&layout.features)
        || !(2..=u64::from(u16::MAX)).contains(&layout.classes)
        || layout.trees == 0
    {
        return Err("a number of features, classes or trees that makes no sense");
    }
    read_arrays(rest, layout)
}

/// Reads what comes after the sizes, which the file is long enough for.
fn read_arrays(mut rest: Rest, layout: Layout) -> Result<Ensemble, &'static str> {
    let baseline: Vec<f64> = rest.f64s(layout.outputs())?.collect();
    let mut values = rest.f64s(layout.values)?;
    let tree_nodes: Vec<u64> = rest.u64s(layout.trees)?.collect();
    let tree_values: Vec<u64> = rest.u64s(layout.trees)?.collect();
    let features = rest.u32s(layout.nodes)?;
    let bins = rest.u32s(layout.nodes)?;
    let thresholds = rest.u32s(layout.nodes)?.map(f32::from_bits);
    let children = rest.u32s(layout.nodes)?;
    let present: Vec<u32> = rest.u32s(layout.present)?.collect();

    let sum = |lengths: &[u64]| lengths.iter().try_fold(0u64, |sum, &n| sum.checked_add(n));
    if sum(&tree_nodes) != Some(layout.nodes) || sum(&tree_values) != Some(layout.values) {
        return Err("the sizes of the trees are not those of the arrays");
    }
    let kind = if layout.boosting {
        let ascending = present.is_sorted_by(|a, b| a < b);
        if present.len() < 2
            || !ascending
            || present
                .iter()
                .any(|&class| u64::from(class) >= layout.classes)
        {
            return Err("the classes that are present make no sense");
        }
        if !layout.trees.is_multiple_of(layout.outputs()) {
            return Err("a round without all its trees");
        }
        if baseline.iter().any(|x| !x.is_finite()) {
            return Err("a score that is not finite");
        }
        Kind::Boosting {
            present: present.iter().map(|&class| class as u16).collect(),
            baseline,
        }
    } else if present.is_empty() {
        Kind::Forest
    } else {
        return Err("classes that a forest does not have");
    };

    let mut nodes = features.zip(bins).zip(thresholds.zip(children)).map(
        |((feature, bin), (threshold, child))| Node {
            feature,
            bin,
            threshold,
            child,
        },
    );
    let mut trees = Vec::with_capacity(tree_nodes.len());
    for (&count, &of_values) in tree_nodes.iter().zip(&tree_values) {
        // both are at most what the arrays have
        let tree = Tree {
            nodes: nodes.by_ref().take(count as usize).collect(),
            values: values.by_ref().take(of_values as usize).collect(),
        };
        check(&tree, layout)?;
        trees.push(tree);
    }
    Ok(Ensemble {
        kind,
        features: layout.features as usize,
        classes: layout.classes as usize,
        trees,
    })
}

/// # Errors
/// If a walk through the tree could leave it or not end, or a value makes no sense.
fn check(tree: &Tree, layout: Layout) -> Result<(), &'static str> {
    let values = tree.values.len() as u64;
    let leaves = if layout.boosting {
        values
    } else if values.is_multiple_of(layout.classes) {
        layout.classes + values / layout.classes
    } else {
        return Err("class shares that are not of all classes");
    };
    let sound = |value: &f64| value.is_finite() && (layout.boosting || (0.0..=1.0).contains(value));
    if !tree.values.iter().all(sound) {
        return Err("a value of a leaf that makes no sense");
    }
    if tree.nodes.is_empty() {
        return Err("a tree without nodes");
    }
    for (index, node) in tree.nodes.iter().enumerate() {
        if node.feature == LEAF {
            if u64::from(node.child) >= leaves {
                return Err("a leaf without a value");
            }
        } else if u64::from(node.feature) >= layout.features {
            return Err("a node that asks for a feature that there is not");
        } else if node.child as usize <= index || node.child as usize + 1 >= tree.nodes.len() {
            return Err("a node whose children do not come after it");
        } else if !node.threshold.is_finite() || node.bin as usize >= MOST_BINS - 1 {
            return Err("a threshold that makes no sense");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
