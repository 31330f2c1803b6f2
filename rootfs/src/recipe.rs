//! The recipe: what an image is made of. Every key is checked, and a mistake is reported with its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use crate::error::{Context, Error, Result};

/// A whole recipe, as in `image.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Recipe {
    /// How the initramfs is compressed.
    pub(crate) compression: Compression,
    /// Packages, with the files taken from each.
    #[serde(default)]
    pub(crate) packages: BTreeMap<String, Vec<String>>,
    /// The kernel and its modules.
    pub(crate) kernel: Kernel,
    /// The program that is many programs.
    pub(crate) busybox: Option<Busybox>,
    /// Where the programs of this workspace go: from the name of the program to its path.
    #[serde(default)]
    pub(crate) programs: BTreeMap<String, String>,
    /// What stands in for Mesos in an image without it.
    pub(crate) standin: Option<Standin>,
    /// Which service directories are taken.
    #[serde(default)]
    pub(crate) services: Services,
    /// Users, in the order of their numbers.
    #[serde(default)]
    pub(crate) users: Vec<User>,
    /// Groups, in the order of their numbers.
    #[serde(default)]
    pub(crate) groups: Vec<Group>,
    /// Directories.
    #[serde(default)]
    pub(crate) directories: BTreeMap<String, Directory>,
    /// Files.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, File>,
    /// Symbolic links: from path to target.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
    /// Device nodes that must exist before anything is mounted.
    #[serde(default)]
    pub(crate) devices: BTreeMap<String, Device>,
    /// The directory the recipe is in: `source` is relative to it.
    #[serde(skip)]
    pub(crate) directory: PathBuf,
}

/// How the initramfs is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// The kernel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// The package of the kernel, or one that depends on it.
    pub(crate) package: String,
    /// Modules by name; what they depend on comes along.
    #[serde(default)]
    pub(crate) modules: Vec<String>,
}

/// The program that is many programs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Busybox {
    /// Its path in the image.
    pub(crate) program: String,
    /// Applets that get no link; a `*` at the end stands for anything.
    #[serde(default)]
    pub(crate) leave_out: Vec<String>,
}

/// The stand-in for Mesos.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standin {
    /// The name of the program.
    pub(crate) program: String,
    /// Its path in the image.
    pub(crate) path: String,
    /// The names under which it runs.
    pub(crate) links: Vec<String>,
    /// The file that says that this is not Mesos.
    pub(crate) notice: String,
}

/// Which service directories are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Services {
    /// Every one.
    #[default]
    All,
    /// Those named.
    Named(Vec<String>),
}

impl<'de> Deserialize<'de> for Services {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "services is \"all\" or a list of names")]
        enum Form {
            Word(String),
            List(Vec<String>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == "all" => Ok(Self::All),
            Form::Word(_) => Err(de::Error::custom("services is \"all\" or a list of names")),
            Form::List(names) => Ok(Self::Named(names)),
        }
    }
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The login name.
    pub(crate) name: String,
    /// The user's number.
    pub(crate) id: u32,
    /// The name of the primary group.
    pub(crate) group: String,
    /// The home directory.
    #[serde(default = "nowhere")]
    pub(crate) home: String,
    /// The login shell.
    #[serde(default = "no_shell")]
    pub(crate) shell: String,
    /// Who this is.
    #[serde(default)]
    pub(crate) description: String,
}

fn nowhere() -> String {
    "/nonexistent".to_owned()
}

fn no_shell() -> String {
    "/usr/sbin/nologin".to_owned()
}

/// A group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) id: u32,
    /// Users that belong to it beside those whose primary group it is.
    #[serde(default)]
    pub(crate) members: Vec<String>,
}

/// A directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Directory {
    /// Permission bits.
    #[serde(default = "directory_mode", deserialize_with = "mode")]
    pub(crate) mode: u32,
    /// The owner's name.
    #[serde(default = "root")]
    pub(crate) owner: String,
    /// The group's name.
    #[serde(default = "root")]
    pub(crate) group: String,
}

/// A file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What is in it.
    pub(crate) content: Option<String>,
    /// A file beside the recipe that holds what is in it.
    pub(crate) source: Option<PathBuf>,
    /// Permission bits.
    #[serde(default = "file_mode", deserialize_with = "mode")]
    pub(crate) mode: u32,
    /// The owner's name.
    #[serde(default = "root")]
    pub(crate) owner: String,
    /// The group's name.
    #[serde(default = "root")]
    pub(crate) group: String,
}

/// A character device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// The major number.
    pub(crate) major: u32,
    /// The minor number.
    pub(crate) minor: u32,
    /// Permission bits.
    #[serde(deserialize_with = "mode")]
    pub(crate) mode: u32,
}

fn root() -> String {
    "root".to_owned()
}

fn directory_mode() -> u32 {
    0o755
}

fn file_mode() -> u32 {
    0o644
}

/// Permission bits are written as people write them, in a string: `"0755"`.
fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(de::Error::custom(format!("mode {text:?} is not an octal number such as \"0755\""))),
    }
}

impl Recipe {
    /// Reads a recipe.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let reading = || format!("read the recipe {}", path.display());
        let text = fs::read_to_string(path).context(reading)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, directory).map_err(|error| Error::new(reading(), error))
    }

    /// Reads a recipe from its text. An error names the line and shows it.
    fn parse(text: &str, directory: &Path) -> std::result::Result<Self, String> {
        let mut recipe: Self =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        directory.clone_into(&mut recipe.directory);
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let named = self.directories.iter().map(|(path, it)| (path, &it.owner, &it.group));
        let named = named.chain(self.files.iter().map(|(path, it)| (path, &it.owner, &it.group)));
        for (path, owner, group) in named {
            self.user_id(owner).ok_or_else(|| format!("{path}: no user {owner} in users"))?;
            self.group_id(group).ok_or_else(|| format!("{path}: no group {group} in groups"))?;
        }
        for user in &self.users {
            self.group_id(&user.group)
                .ok_or_else(|| format!("user {}: no group {} in groups", user.name, user.group))?;
        }
        for (path, file) in &self.files {
            if file.content.is_some() == file.source.is_some() {
                return Err(format!("{path}: a file has either content or source"));
            }
        }
        Ok(())
    }

    /// The number of a user.
    pub(crate) fn user_id(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|user| user.name == name).map(|user| user.id)
    }

    /// The number of a group.
    pub(crate) fn group_id(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "compression = \"zstd\"\nkernel = { package = \"linux\" }\n";
    const ROOT: &str = "users = [{ name = \"root\", id = 0, group = \"root\" }]\n\
                        groups = [{ name = \"root\", id = 0 }]\n";

    fn parse(text: &str) -> std::result::Result<Recipe, String> {
        Recipe::parse(&format!("{HEAD}{ROOT}{text}"), Path::new("."))
    }

    #[test]
    fn the_recipe_of_the_image_is_sound() {
        Recipe::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("image.toml")).unwrap();
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line() {
        let error = parse("[files]\n\"/etc/motd\" = { contents = \"x\" }\n").unwrap_err();
        assert!(error.contains("line 6") && error.contains("contents"), "{error}");
    }

    #[test]
    fn a_mode_that_is_not_octal_is_reported_with_its_line() {
        let error = parse("[directories]\n\"/srv\" = { mode = \"0799\" }\n").unwrap_err();
        assert!(error.contains("line 6") && error.contains("0799"), "{error}");
    }

    #[test]
    fn an_owner_that_is_no_user_is_an_error() {
        let error = parse("[directories]\n\"/srv\" = { owner = \"www\" }\n").unwrap_err();
        assert_eq!(error, "/srv: no user www in users");
    }

    #[test]
    fn a_file_without_content_is_an_error() {
        let error = parse("[files]\n\"/etc/motd\" = { mode = \"0644\" }\n").unwrap_err();
        assert_eq!(error, "/etc/motd: a file has either content or source");
    }

    #[test]
    fn services_are_all_or_a_list() {
        assert_eq!(parse("").unwrap().services, Services::All);
        let named = Services::Named(vec!["sshd".into()]);
        assert_eq!(parse("services = [\"sshd\"]").unwrap().services, named);
        assert!(parse("services = \"some\"").unwrap_err().contains("\"all\" or a list"));
    }
}
