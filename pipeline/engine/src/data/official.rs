//! The files in which datasets are published, for those that can be downloaded.

/// A file with what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficialFile {
    pub name: &'static str,
    pub url: &'static str,
    /// In lower-case hexadecimal digits.
    pub sha256: &'static str,
    pub bytes: u64,
}

/// The files of a dataset; none when it can't be downloaded.
pub fn official(dataset: &str) -> &'static [OfficialFile] {
    match dataset {
        "mnist" => &MNIST,
        "fashion-mnist" => &FASHION_MNIST,
        "cifar10" => &CIFAR10,
        _ => &[],
    }
}

macro_rules! files {
    ($($base:literal $name:literal $bytes:literal $sha256:literal)*) => {
        [$(OfficialFile { name: $name, url: concat!($base, $name), sha256: $sha256, bytes: $bytes }),*]
    };
}

/// The mirror that `PyTorch` keeps of Yann LeCun's files.
static MNIST: [OfficialFile; 4] = files![
    "https://ossci-datasets.s3.amazonaws.com/mnist/" "train-images-idx3-ubyte.gz" 9_912_422
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    "https://ossci-datasets.s3.amazonaws.com/mnist/" "train-labels-idx1-ubyte.gz" 28_881
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    "https://ossci-datasets.s3.amazonaws.com/mnist/" "t10k-images-idx3-ubyte.gz" 1_648_877
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    "https://ossci-datasets.s3.amazonaws.com/mnist/" "t10k-labels-idx1-ubyte.gz" 4_542
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
];

/// The authors' repository; it redirects to where the files are.
static FASHION_MNIST: [OfficialFile; 4] = files![
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/" "train-images-idx3-ubyte.gz" 26_421_880
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/" "train-labels-idx1-ubyte.gz" 29_515
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/" "t10k-images-idx3-ubyte.gz" 4_422_102
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/" "t10k-labels-idx1-ubyte.gz" 5_148
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
];

static CIFAR10: [OfficialFile; 1] = files![
    "https://www.cs.toronto.edu/~kriz/" "cifar-10-binary.tar.gz" 170_052_171
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_an_https_address_and_a_checksum() {
        for (dataset, count) in [("mnist", 4), ("fashion-mnist", 4), ("cifar10", 1), ("images", 0)] {
            let files = official(dataset);
            assert_eq!(files.len(), count, "{dataset}");
            for file in files {
                assert!(file.url.starts_with("https://") && file.url.ends_with(file.name), "{file:?}");
                assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{file:?}");
            }
        }
    }
}
