//! The manifest of an App Container Image (App Container specification, image manifest).

use crate::config::Config;
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::oci::json;
use crate::platform::Platform;
use crate::reference::Appc;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What an App Container Image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// What it is called.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it says of its process.
    pub config: Config,
    /// The images below it, the lowest first.
    pub dependencies: Vec<Dependency>,
    /// All that is to be left of it and of those, if that is said.
    pub whitelist: Vec<String>,
}

/// An image that lies below another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency(pub Appc);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    ac_kind: String,
    #[allow(dead_code, reason = "it has to be there")]
    ac_version: String,
    name: String,
    labels: Option<Vec<Pair>>,
    app: Option<RawApp>,
    dependencies: Option<Vec<RawDependency>>,
    path_whitelist: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawApp {
    exec: Option<Vec<String>>,
    user: Option<String>,
    group: Option<String>,
    #[serde(rename = "supplementaryGIDs")]
    supplementary_gids: Option<Vec<u32>>,
    working_directory: Option<String>,
    environment: Option<Vec<Pair>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDependency {
    image_name: String,
    #[serde(rename = "imageID")]
    image_id: Option<String>,
    labels: Option<Vec<Pair>>,
}

impl ImageManifest {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or asks for what there is not.
    pub fn parse(bytes: &[u8]) -> Result<ImageManifest> {
        let raw: Raw = json(bytes, "manifest")?;
        if raw.ac_kind != "ImageManifest" {
            return Err(Error::refused(format!(
                "manifest: acKind {:?} is not \"ImageManifest\"",
                raw.ac_kind
            )));
        }
        // The same rules as for references.
        let name: Appc = named(&raw.name)?;
        let dependencies = raw.dependencies.unwrap_or_default().into_iter().map(dependency);
        Ok(ImageManifest {
            name: name.name,
            labels: labels(raw.labels)?,
            config: raw.app.map(config).unwrap_or_default(),
            dependencies: dependencies.collect::<Result<_>>()?,
            whitelist: raw.path_whitelist.unwrap_or_default(),
        })
    }

    /// What it runs on, by the names that others have for that.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let (os, arch) = (self.labels.get("os")?, self.labels.get("arch")?);
        let (architecture, variant) = match arch.as_str() {
            "aarch64" => ("arm64", Some("v8")),
            "i386" => ("386", None),
            "armv7l" => ("arm", Some("v7")),
            "armv6l" => ("arm", Some("v6")),
            other => (other, None),
        };
        let (architecture, variant) = (architecture.to_owned(), variant.map(str::to_owned));
        Some(Platform { os: os.clone(), architecture, variant })
    }

    /// Whether it is what a reference asks for: its name, and each label that is asked for.
    ///
    /// # Errors
    /// What it has instead.
    pub fn check(&self, wanted: &Appc) -> Result<()> {
        if self.name != wanted.name {
            let (found, wanted) = (&self.name, &wanted.name);
            return Err(Error::refused(format!("the image is called {found:?}, not {wanted:?}")));
        }
        for (key, value) in &wanted.labels {
            match self.labels.get(key) {
                Some(found) if found == value => {}
                // What is the newest has a version of its own.
                Some(_) if key == "version" && value == "latest" => {}
                Some(found) => {
                    return Err(Error::refused(format!("its label {key} is {found:?}, not {value:?}")));
                }
                // An image that says nothing of it may be for all.
                None if key != "version" || value == "latest" => {}
                None => {
                    return Err(Error::refused(format!("it has no label {key}, which should be {value:?}")));
                }
            }
        }
        Ok(())
    }
}

/// The architecture of a platform, as App Container Images have it.
#[must_use]
pub fn arch(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "arm64" => "aarch64",
        "386" => "i386",
        "arm" if platform.variant.as_deref() == Some("v6") => "armv6l",
        "arm" => "armv7l",
        other => other,
    }
}

fn named(name: &str) -> Result<Appc> {
    let wrong = |error: Error| Error::refused(format!("manifest: {error}"));
    if name.contains([',', ':']) {
        return Err(wrong(Error::refused(format!("{name:?} cannot be the name of an image"))));
    }
    name.parse().map_err(wrong)
}

fn labels(pairs: Option<Vec<Pair>>) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for Pair { name, value } in pairs.unwrap_or_default() {
        if labels.insert(name.clone(), value).is_some() {
            return Err(Error::refused(format!("manifest: the label {name} is there twice")));
        }
    }
    Ok(labels)
}

fn dependency(raw: RawDependency) -> Result<Dependency> {
    let mut appc = named(&raw.image_name)?;
    appc.labels = labels(raw.labels)?;
    if let Some(id) = raw.image_id {
        let hex =
            id.strip_prefix("sha512-").ok_or_else(|| Error::refused(format!("manifest: {id:?} is no id")))?;
        appc.id = Some(Digest::new(Algorithm::Sha512, hex)?);
    }
    // What is asked for becomes the name of a file.
    appc.to_string()
        .parse()
        .map(Dependency)
        .map_err(|error: Error| Error::refused(format!("manifest: {error}")))
}

fn config(app: RawApp) -> Config {
    let environment = app.environment.unwrap_or_default();
    let user = match (app.user.unwrap_or_default(), app.group.unwrap_or_default()) {
        (user, group) if group.is_empty() => user,
        (user, group) => format!("{user}:{group}"),
    };
    Config {
        cmd: app.exec.unwrap_or_default(),
        env: environment.into_iter().map(|Pair { name, value }| format!("{name}={value}")).collect(),
        working_dir: app.working_directory.unwrap_or_default(),
        user,
        groups: app.supplementary_gids.unwrap_or_default(),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<ImageManifest> {
        let text = format!(r#"{{"acVersion":"0.8.10","name":"example.com/app",{rest}}}"#);
        ImageManifest::parse(text.as_bytes())
    }

    #[test]
    fn a_manifest_is_an_image_manifest_or_refused() {
        let kind = r#""acKind":"ImageManifest""#;
        assert!(parse(r#""acKind":"PodManifest""#).unwrap_err().to_string().contains("acKind"));
        assert!(parse(kind).unwrap().config.cmd.is_empty());
        let null = parse(&format!(r#"{kind},"app":{{"exec":null,"user":"0","group":"0"}}"#)).unwrap();
        assert_eq!((null.config.cmd.len(), null.config.user.as_str()), (0, "0:0"));
        assert_eq!(parse(&format!(r#"{kind},"pathWhitelist":["/a"]"#)).unwrap().whitelist, ["/a"]);
        assert!(parse(&format!(r#"{kind},"dependencies":[{{"imageName":"a/../b"}}]"#)).is_err());
        let label = r#"{"name":"version","value":"../../x"}"#;
        assert!(
            parse(&format!(r#"{kind},"dependencies":[{{"imageName":"a","labels":[{label}]}}]"#)).is_err()
        );
        assert!(ImageManifest::parse(b"{}").is_err());
    }

    #[test]
    fn what_is_asked_for_must_be_what_is_there() {
        let labels = r#"[{"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"aarch64"}]"#;
        let manifest = parse(&format!(r#""acKind":"ImageManifest","labels":{labels}"#)).unwrap();
        assert_eq!(manifest.platform().unwrap().to_string(), "linux/arm64/v8");
        let check = |text: &str| manifest.check(&text.parse().unwrap());
        assert!(check("example.com/app").is_ok());
        assert!(check("example.com/app:1.0,os=linux").is_ok());
        assert!(check("example.com/app:latest").is_ok());
        assert!(check("example.com/app:2.0").is_err());
        assert!(check("example.com/other").is_err());
    }
}
