//! Tables of synthetic records.

use giveaway::dataset::{Dataset, FeatureInfo, FeatureKind, Schema};
use ndarray::Array2;

/// Numeric columns and two classes.
pub(crate) fn table(features: Array2<f32>, labels: Vec<u32>) -> Dataset {
    let columns = (0..features.ncols()).map(|column| format!("column {column}"));
    Dataset {
        ids: (0..labels.len()).map(|record| record.to_string()).collect(),
        schema: Schema {
            features: columns
                .map(|name| FeatureInfo {
                    column: name.clone(),
                    name,
                    kind: FeatureKind::Numeric,
                })
                .collect(),
            classes: vec!["0".to_owned(), "1".to_owned()],
            ..Schema::default()
        },
        features,
        labels,
    }
}
