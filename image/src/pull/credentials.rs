//! Who we are to a registry: the file `config.json` that `docker login`, `skopeo login` and `podman login` write.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::endpoint::Endpoint;

/// What Docker keeps the credentials of its own registry under.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What proves who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is changed for another one where the registry says.
    Identity(String),
    /// A token for the registry itself.
    Token(String),
}

impl Credentials {
    /// The header of the `Basic` scheme, if there is a password.
    #[must_use]
    pub fn basic(&self) -> Option<String> {
        match self {
            Credentials::Password { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Credentials::Identity(_) | Credentials::Token(_) => None,
        }
    }
}

/// A secret is not told to whoever looks.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Password { .. } => "Password(…)",
            Credentials::Identity(_) => "Identity(…)",
            Credentials::Token(_) => "Token(…)",
        })
    }
}

/// The file.
#[derive(Clone, Default, Deserialize)]
pub struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl File {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// It is no such file; the message has nothing of its contents.
    pub fn parse(text: &str) -> Result<File, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("line {}: it is no docker config.json", error.line()))
    }

    /// What it has for a registry, or the program that it names for it: that is asked by `ask`, with the name of the
    /// program and that of the registry.
    ///
    /// # Errors
    /// It has something, of which we can make no use.
    pub fn find(
        &self,
        endpoint: &Endpoint,
        ask: impl Fn(&str, &str) -> Result<Option<Credentials>, String>,
    ) -> Result<Option<Credentials>, String> {
        let matching = |key: &&String| is_for(key, endpoint);
        let entry = self.auths.iter().find(|(key, _)| matching(key));
        if let Some((key, entry)) = entry
            && let Some(credentials) =
                entry.credentials().ok_or_else(|| format!("its entry {key:?} is damaged"))?
        {
            return Ok(Some(credentials));
        }
        let helper = self.helpers.iter().find(|(key, _)| matching(key)).map(|(_, helper)| helper);
        // An entry without contents says that somebody else keeps them.
        let store = self.store.as_ref().filter(|store| entry.is_some() && !store.is_empty());
        match helper.or(store) {
            Some(helper) if endpoint.is_hub() => ask(helper, HUB_KEY),
            Some(helper) => ask(helper, &endpoint.authority()),
            None => Ok(None),
        }
    }
}

impl Entry {
    /// None is a damaged entry, and none within it an empty one.
    #[expect(clippy::option_option, reason = "damaged, and empty, are two things")]
    fn credentials(&self) -> Option<Option<Credentials>> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Some(Some(Credentials::Token(token)));
        }
        if let Some(token) = filled(&self.identitytoken) {
            return Some(Some(Credentials::Identity(token)));
        }
        if let (Some(user), Some(password)) = (filled(&self.username), filled(&self.password)) {
            return Some(Some(Credentials::Password { user, password }));
        }
        let Some(auth) = filled(&self.auth) else { return Some(None) };
        let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        // Docker pads what it writes with zero bytes.
        let password = password.trim_end_matches('\0').to_owned();
        Some(Some(Credentials::Password { user: user.to_owned(), password }))
    }
}

/// Whether a key of the file means this registry: `HOST[:PORT]`, or an address as old versions wrote them.
fn is_for(key: &str, endpoint: &Endpoint) -> bool {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    Endpoint::parse(&format!("https://{authority}"), &[])
        .is_ok_and(|other| other.authority() == endpoint.authority() || (other.is_hub() && endpoint.is_hub()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str) -> Result<Option<Credentials>, String> {
        File::parse(text).unwrap().find(&Endpoint::parse(registry, &[]).unwrap(), |helper, server| {
            Err(format!("asked: docker-credential-{helper} {server}"))
        })
    }

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn credentials_are_found_by_host_and_port_and_the_hub_by_any_of_its_names() {
        // printf 'u:p:w' | base64
        let text = r#"{"auths": {"r.example:5000": {"auth": "dTpwOnc="}, "https://index.docker.io/v1/": {"username": "a", "password": "b"},
            "t.example": {"identitytoken": "i"}}, "HttpHeaders": {"x": "y"}}"#;
        assert_eq!(find(text, "r.example:5000"), Ok(password("u", "p:w")));
        assert_eq!(find(text, "r.example"), Ok(None));
        assert_eq!(find(text, "registry-1.docker.io"), Ok(password("a", "b")));
        assert_eq!(find(text, "https://t.example"), Ok(Some(Credentials::Identity("i".to_owned()))));
        assert_eq!(find("{}", "t.example"), Ok(None));
    }

    #[test]
    fn a_name_and_a_password_are_written_as_one_word() {
        assert_eq!(password("u", "p:w").unwrap().basic().unwrap(), "Basic dTpwOnc=");
    }

    #[test]
    fn who_keeps_credentials_for_others_is_asked_for_what_they_have() {
        let store = r#"{"auths": {"r.example": {}, "docker.io": {}, "own.example": {"auth": "dTpw"}}, "credsStore": "pass"}"#;
        assert_eq!(find(store, "r.example").unwrap_err(), "asked: docker-credential-pass r.example");
        let hub = "asked: docker-credential-pass https://index.docker.io/v1/";
        assert_eq!(find(store, "registry-1.docker.io").unwrap_err(), hub);
        assert_eq!(find(store, "own.example"), Ok(password("u", "p")));
        assert_eq!(find(store, "other.example"), Ok(None), "nobody has logged in there");
        let helpers = r#"{"credHelpers": {"g.example:5000": "gcloud"}, "credsStore": "pass"}"#;
        assert_eq!(
            find(helpers, "g.example:5000").unwrap_err(),
            "asked: docker-credential-gcloud g.example:5000"
        );
        assert_eq!(find(helpers, "g.example"), Ok(None));
    }

    #[test]
    fn what_cannot_be_used_is_said_and_a_secret_is_not() {
        for damaged in ["!!", "bm9jb2xvbg=="] {
            let text = format!(r#"{{"auths": {{"r.example": {{"auth": "{damaged}"}}}}}}"#);
            assert!(find(&text, "r.example").unwrap_err().contains("damaged"));
        }
        assert_eq!(
            File::parse("{\n\"auths\": secret}").err().unwrap(),
            "line 2: it is no docker config.json"
        );
        assert_eq!(format!("{:?}", password("u", "secret")), "Some(Password(…))");
    }
}
