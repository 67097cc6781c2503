//! What values are written like.

use spec::{Metric, Split};

/// One of so many parts of the runs, written `1/4`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// All of so many.
    pub fn all(count: u64) -> impl Iterator<Item = Shard> {
        (1..=count).map(move |index| Shard { index, count })
    }

    /// Whether a run is in it: by its id, so that it does not depend on what else there is to run.
    pub fn holds(self, id: &str) -> bool {
        // An id is 16 hexadecimal digits.
        u64::from_str_radix(id, 16).unwrap_or(0) % self.count == self.index - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let error = || "expected a shard and how many there are, from 1/N to N/N, such as 1/4".to_owned();
        let (index, count) = s.split_once('/').ok_or_else(error)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| error());
        let (index, count) = (number(index)?, number(count)?);
        if (1..=count).contains(&index) { Ok(Shard { index, count }) } else { Err(error()) }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A number of bytes, written `512MiB`, `6GiB` or `1.5GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size; what is beyond 2^64 is as good as 2^64")]
    fn from_str(s: &str) -> Result<Self, String> {
        let error = || "expected a number and a unit, such as 512MiB, 6GiB or 1.5GB".to_owned();
        let (number, unit) = s.split_at(s.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?);
        let unit = match unit.to_ascii_lowercase().as_str() {
            "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "k" | "kib" => 1024f64,
            "m" | "mib" => 1024f64.powi(2),
            "g" | "gib" => 1024f64.powi(3),
            "t" | "tib" => 1024f64.powi(4),
            _ => return Err(error()),
        };
        let number: f64 = number.trim().parse().map_err(|_| error())?;
        if number > 0.0 && number.is_finite() { Ok(Size((number * unit) as u64)) } else { Err(error()) }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}B", self.0)
    }
}

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub ip: std::net::IpAddr,
    /// `None`: whichever is free.
    pub port: Option<u16>,
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.replace("localhost", "127.0.0.1");
        let with_port = text.parse::<std::net::SocketAddr>().map(|address| Listen { ip: address.ip(), port: Some(address.port()) });
        let alone = text.trim_matches(['[', ']']).parse().map(|ip| Listen { ip, port: None });
        let port = text.parse().map(|port| Listen { ip: std::net::Ipv4Addr::LOCALHOST.into(), port: Some(port) });
        with_port
            .or(alone)
            .or(port)
            .map_err(|_| "expected an address or a port, such as 127.0.0.1, 8080, 0.0.0.0:8080 or [::1]:8080".to_owned())
    }
}

/// Sizes, written `28x28x1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |s: &str| s.trim().parse().ok().filter(|n| (1..=1 << 16).contains(n));
        let sizes: Option<Vec<usize>> = text.split(['x', '×']).map(size).collect();
        sizes.filter(|s| s.len() <= 4).map(Shape).ok_or_else(|| "must be one to four positive sizes, such as 28x28x1".to_owned())
    }
}

/// A time.
pub fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| (0.0..=1e9).contains(x)).ok_or_else(|| "must be a number of seconds".to_owned())
}

/// Not so often that looking is a load.
pub fn interval(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| (0.1..=3600.0).contains(x)).ok_or_else(|| "must be from 0.1 to 3600 seconds".to_owned())
}

/// A learning rate.
pub fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "must be a positive number".to_owned())
}

/// A name that can be a folder's.
pub fn study_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = (1..=100).contains(&text.len()) && text.chars().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 100 letters, digits, `_` and `-`".to_owned()) }
}

pub fn metric(text: &str) -> Result<Metric, String> {
    let metrics = || Metric::ALL.iter().filter(|m| m.split != Split::Test);
    metrics()
        .find(|m| m.name() == text)
        .copied()
        .ok_or_else(|| format!("must be one of {}", metrics().map(|m| m.name()).collect::<Vec<_>>().join(", ")))
}

/// `theirs=ours`
pub fn pair(text: &str) -> Result<(String, String), String> {
    text.rsplit_once('=')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .ok_or_else(|| "must be THEIRS=OURS, such as val_acc=validation_accuracy".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_read() {
        let read = |text: &str| text.parse::<Listen>().map(|Listen { ip, port }| (ip.to_string(), port));
        let local = |port| Ok(("127.0.0.1".to_owned(), port));
        assert_eq!(["127.0.0.1", "localhost"].map(read), [local(None), local(None)]);
        assert_eq!(["8080", "localhost:8080", "127.0.0.1:8080"].map(read), [(); 3].map(|()| local(Some(8080))));
        assert_eq!(read("[::1]:80"), Ok(("::1".to_owned(), Some(80))));
        for wrong in ["", ":8080", "65536", "example.org", "1.2.3", "127.0.0.1:x"] {
            assert!(read(wrong).unwrap_err().contains("an address or a port"), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        let parse = |s: &str| s.parse::<Size>().map(|s| s.0).ok();
        assert_eq!(
            ["512MiB", "6GiB", "1.5GB", "2g", "1k"].map(parse),
            [536_870_912, 6_442_450_944, 1_500_000_000, 2_147_483_648, 1024].map(Some)
        );
        assert_eq!(parse(&Size(1_234_567).to_string()), Some(1_234_567));
        assert_eq!(["", "6", "GiB", "-1GiB", "infGiB", "6 parsecs"].map(parse), [None; 6]);
    }

    #[test]
    fn shards_partition_the_runs() {
        for wrong in ["", "x", "1", "0/4", "5/4", "1/0", "0/0", "-1/4", "1/4/4", "1 / 4", "1/99999999999999999999"] {
            assert!(wrong.parse::<Shard>().is_err_and(|e| e.contains("such as 1/4")), "{wrong}");
        }
        let ids: Vec<String> = (0..1000).map(|i: u32| spec::fingerprint(&i.to_le_bytes())).collect();
        for count in [1, 2, 3, 7, 64] {
            let shards: Vec<Shard> = (1..=count).map(|i| format!("{i}/{count}").parse().unwrap()).collect();
            for id in &ids {
                assert_eq!(shards.iter().filter(|shard| shard.holds(id)).count(), 1, "{id}");
            }
            let sizes = shards.iter().map(|shard| ids.iter().filter(|id| shard.holds(id)).count());
            let fair = 1000 / count;
            assert!(sizes.clone().all(|size| size > fair / 4 && size < 3 * fair), "{:?}", sizes.collect::<Vec<_>>());
        }
        assert!("2/2".parse::<Shard>().unwrap().holds("8000000000000001"));
    }
}
