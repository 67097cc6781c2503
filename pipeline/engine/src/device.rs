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
    Cuda(usize),
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            "metal" => Ok(DeviceChoice::Metal),
            s => s
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda, cuda:N or metal".into()),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// When this binary was built without support for it, or there is none.
    pub fn open(self) -> Result<Device, Error> {
        let without =
            |feature: &str| Error::Mismatch(format!("this binary was built without {feature} (cargo build --features {feature})"));
        match self {
            DeviceChoice::Cuda(_) if !cfg!(feature = "cuda") => Err(without("cuda")),
            DeviceChoice::Metal if !cfg!(feature = "metal") => Err(without("metal")),
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
