//! Which device trains: `auto`, `cpu`, `cuda`, `cuda:1`, `metal`.

use std::str::FromStr;

pub use candle_core::Device;

use crate::error::Error;
use crate::layer::Path;

/// A device as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if this binary was built for one and one is there, else the CPU.
    Auto,
    Cpu,
    /// Every CUDA device.
    EveryCuda,
    /// One, by its number from 0.
    Cuda(usize),
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::EveryCuda),
            "metal" => Ok(DeviceChoice::Metal),
            s => s
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda, cuda:N or metal".into()),
        }
    }
}

/// As the user names it.
impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::EveryCuda => f.write_str("cuda"),
            DeviceChoice::Cuda(n) => write!(f, "cuda:{n}"),
            DeviceChoice::Metal => f.write_str("metal"),
        }
    }
}

impl DeviceChoice {
    /// Opens every device that it stands for: with `auto` and `cuda` all GPUs that the system shows, so that runs can be spread over them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_all(self) -> Result<Vec<Device>, Error> {
        let first = self.open()?;
        let more = matches!(self, DeviceChoice::Auto | DeviceChoice::EveryCuda) && first.is_cuda();
        // There is no count of devices that all of candle's backends give: the first number that does not open is one too many.
        let others = (1..).map_while(|n| if more { Device::new_cuda(n).ok() } else { None });
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// Opens the device; the first, where it stands for several.
    ///
    /// # Errors
    /// When this binary was built without support for it, or there is none.
    pub fn open(self) -> Result<Device, Error> {
        let without = |feature: &str| {
            Error::Mismatch(format!("this binary was built without {feature} (cargo build --release --features cli/{feature})"))
        };
        match self {
            DeviceChoice::Cuda(_) | DeviceChoice::EveryCuda if !cfg!(feature = "cuda") => Err(without("cuda")),
            DeviceChoice::Metal if !cfg!(feature = "metal") => Err(without("metal")),
            DeviceChoice::EveryCuda => Ok(Device::new_cuda(0)?),
            DeviceChoice::Cuda(n) => Ok(Device::new_cuda(n)?),
            DeviceChoice::Metal => Ok(Device::new_metal(0)?),
            DeviceChoice::Auto if cfg!(feature = "cuda") => Ok(Device::cuda_if_available(0)?),
            DeviceChoice::Auto if cfg!(feature = "metal") => Ok(Device::metal_if_available(0)?),
            DeviceChoice::Cpu | DeviceChoice::Auto => Ok(Device::Cpu),
        }
    }
}

/// The name that is recorded with a run.
pub(crate) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

/// Our kernels on the CPU, candle's operations elsewhere.
pub(crate) fn path(device: &Device) -> Path {
    if device.is_cpu() { Path::Kernels } else { Path::Composed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_and_opened() {
        let all = [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::EveryCuda, DeviceChoice::Cuda(1), DeviceChoice::Metal];
        assert_eq!(["auto", "cpu", "cuda", "cuda:1", "metal"].map(|name| name.parse::<DeviceChoice>().unwrap()), all);
        assert_eq!(all.map(|choice| choice.to_string()), ["auto", "cpu", "cuda", "cuda:1", "metal"]);
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
        assert!(matches!(DeviceChoice::Cpu.open_all().unwrap()[..], [Device::Cpu]));
        if !cfg!(feature = "cuda") {
            let error = DeviceChoice::EveryCuda.open_all().unwrap_err().to_string();
            assert!(error.contains("built without cuda"), "{error}");
        }
    }
}
