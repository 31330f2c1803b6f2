//! What an image runs on.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An operating system and an architecture, by the names of the OCI image specification (those of Go).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    #[must_use]
    pub fn host() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether an image for `other` runs here. A variant that is not said is any; a later ARM (of 32 bits) runs what is
    /// for an earlier one.
    #[must_use]
    pub fn runs(&self, other: &Platform) -> bool {
        let variants = match (&self.variant, &other.variant) {
            (Some(ours), Some(theirs)) => {
                ours == theirs || self.architecture == "arm" && other.level() <= self.level()
            }
            (None | Some(_), None) | (None, Some(_)) => true,
        };
        self.os == other.os && self.architecture == other.architecture && variants
    }
}

impl Platform {
    /// The number of its variant: 7 of `v7`. Of what cannot be read it is more than any.
    #[must_use]
    pub fn level(&self) -> u32 {
        let number = |variant: &String| variant.strip_prefix('v')?.parse().ok();
        self.variant.as_ref().map_or(0, |variant| number(variant).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
