//! Pulls from a registry on the loopback that misbehaves as it is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use image::error::Result;
use image::platform::Platform;
use image::pull::source;
use image::reference::Reference;
use image::settings::Settings;
use std::io::Read;
use std::time::Duration;
use tests::registry::{Access, Fault, Registry, digest};

/// Long enough to be cut in pieces.
fn layer(seed: u8) -> Vec<u8> {
    (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

struct Client {
    settings: Settings,
    store: tempfile::TempDir,
}

impl Client {
    /// One of this registry, by default.
    fn of(registry: &Registry) -> Client {
        let store = tempfile::tempdir().unwrap();
        let mut settings =
            Settings { store: store.path().into(), registry: registry.url(), ..Settings::default() };
        settings.pull.quiet = true;
        Client { settings, store }
    }

    fn credentials(mut self, text: &str) -> Client {
        let path = self.store.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        self.settings.pull.credentials = Some(path);
        self
    }

    /// The digest of an image's manifest, and the bytes of its layers.
    fn pull(&self, reference: &str) -> Result<(String, Vec<Vec<u8>>)> {
        let reference: Reference = reference.parse()?;
        let Reference::Docker(docker) = &reference else { unreachable!() };
        let mut source = source(&self.settings, docker)?;
        let found = source.describe(
            &reference,
            &Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
        )?;
        let blobs: Vec<_> = found.layers.iter().map(|layer| layer.blob.clone()).collect();
        source.expect(&blobs);
        let mut layers = Vec::new();
        for blob in &blobs {
            let mut bytes = Vec::new();
            source.open(blob)?.read_to_end(&mut bytes)?;
            layers.push(bytes);
        }
        Ok((found.id.to_string(), layers))
    }

    #[track_caller]
    fn fails(&self, reference: &str, because: &str) {
        let error = self.pull(reference).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
        self.leaves_nothing();
    }

    /// What is fetched has no name: nobody can take it for something else, and nobody has to clean up.
    #[track_caller]
    fn leaves_nothing(&self) {
        let staging = self.store.path().join("staging");
        assert_eq!(std::fs::read_dir(staging).map_or(0, Iterator::count), 0);
    }
}

/// A registry with the image `a/b:1` of one layer.
fn one() -> (Registry, Vec<u8>, String) {
    let registry = Registry::start();
    let bytes = layer(1);
    let sample = registry.contents(|contents| contents.image("a/b", "1", &[&bytes]));
    (registry, bytes, sample.layers[0].clone())
}

// --- what is asked for ---

#[test]
fn an_image_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start();
    let layers = [layer(1), layer(2)];
    let sample = registry.contents(|contents| contents.image("a/b", "latest", &[&layers[0], &layers[1]]));
    let client = Client::of(&registry);
    let expected = (sample.digest.clone(), layers.to_vec());
    assert_eq!(client.pull("a/b").unwrap(), expected);
    assert_eq!(client.pull(&format!("a/b@{}", sample.digest)).unwrap(), expected);
    // A registry that the reference names is asked, whatever the settings say.
    let named = Client::of(&Registry::start());
    assert_eq!(named.pull(&format!("docker://{}/a/b:latest", registry.address())).unwrap(), expected);
    client.leaves_nothing();
    let asked = registry.requests_for("/manifests/latest");
    let accept = asked[0].header("accept").unwrap();
    for media in
        ["oci.image.index.v1", "manifest.list.v2", "oci.image.manifest.v1", "distribution.manifest.v2"]
    {
        assert!(accept.contains(media), "{accept}");
    }
}

#[test]
fn of_a_list_the_manifest_of_the_platform_is_pulled() {
    let registry = Registry::start();
    let (ours, other) = (layer(1), layer(2));
    let images: [(&str, &[&[u8]]); 2] = [("linux/arm64", &[&other]), ("linux/amd64", &[&ours])];
    let (list, samples) = registry.contents(|contents| contents.list("a", "1", &images));
    let client = Client::of(&registry);
    let expected = (samples[1].digest.clone(), vec![ours.clone()]);
    assert_eq!(client.pull("a:1").unwrap(), expected);
    assert_eq!(client.pull(&format!("a@{list}")).unwrap(), expected);
    assert!(registry.requests_for(&samples[0].layers[0]).is_empty());
}

#[test]
fn a_manifest_of_schema_1_is_refused_in_words() {
    let registry = Registry::start();
    let media = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    registry
        .contents(|contents| contents.manifest("a", "1", media, br#"{"schemaVersion": 1, "fsLayers": []}"#));
    Client::of(&registry).fails("a:1", "schema 1");
}

#[test]
fn an_image_that_is_not_there_is_said_to_be_missing() {
    let (registry, ..) = one();
    let client = Client::of(&registry);
    let error = client.pull("a/b:2").unwrap_err();
    assert_eq!(error.kind, image::error::Kind::Missing);
    assert!(error.to_string().contains("MANIFEST_UNKNOWN"), "{error}");
    assert_eq!(registry.requests().len(), 1);
}

// --- what is not what it should be ---

#[test]
fn a_layer_with_the_wrong_digest_is_refused() {
    let (registry, _, layer) = one();
    registry.fault(&layer, 1, Fault::Wrong);
    let client = Client::of(&registry);
    client.fails("a/b:1", &format!("digest {layer} expected"));
    // Not another time: the next one is right.
    client.pull("a/b:1").unwrap();
}

#[test]
fn a_manifest_with_the_wrong_digest_is_refused() {
    let (registry, ..) = one();
    let sample = registry.contents(|contents| contents.image("a/b", "2", &[b"x"]));
    registry.fault("/manifests/sha256", 1, Fault::Wrong);
    let client = Client::of(&registry);
    client.fails(&format!("a/b@{}", sample.digest), &format!("digest {} expected", sample.digest));
}

#[test]
fn a_layer_that_is_longer_than_it_was_said_is_refused() {
    let (registry, bytes, layer) = one();
    registry.fault(&layer, 1, Fault::Longer);
    Client::of(&registry).fails("a/b:1", &format!("more than its {} bytes", bytes.len()));
}

#[test]
fn a_layer_that_is_larger_than_allowed_is_not_fetched() {
    let (registry, _, layer) = one();
    let mut client = Client::of(&registry);
    client.settings.pull.largest = 100_000;
    client.fails("a/b:1", "more than the 100000 allowed");
    assert!(registry.requests_for(&layer).is_empty());
}

// --- what passes ---

#[test]
fn a_connection_that_is_cut_goes_on_where_it_ended() {
    let (registry, bytes, layer) = one();
    registry.fault(&layer, 1, Fault::Cut(70_000));
    registry.fault(&layer, 1, Fault::Cut(50_000));
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
    let ranges: Vec<_> =
        registry.requests_for(&layer).iter().map(|head| head.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=70000-".to_owned()), Some("bytes=120000-".to_owned())]);
}

#[test]
fn without_ranges_a_connection_that_is_cut_begins_anew_and_nothing_is_doubled() {
    let (registry, bytes, layer) = one();
    registry.fault(&layer, 1, Fault::Cut(70_000));
    registry.fault(&layer, 1, Fault::NoRanges);
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for(&layer).len(), 2);
}

#[test]
fn another_part_than_was_asked_for_is_refused() {
    let (registry, _, layer) = one();
    registry.fault(&layer, 1, Fault::Cut(70_000));
    registry.fault(&layer, 1, Fault::WrongPart);
    Client::of(&registry).fails("a/b:1", "another part");
}

#[test]
fn a_registry_that_falls_silent_is_asked_again() {
    let (registry, bytes, layer) = one();
    registry.fault(&layer, 1, Fault::Silence(70_000));
    let mut client = Client::of(&registry);
    client.settings.pull.silence = Duration::from_millis(300);
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for(&layer)[1].header("range"), Some("bytes=70000-"));
}

#[test]
fn a_slow_registry_is_waited_for() {
    let (registry, bytes, layer) = one();
    registry.fault(&layer, 1, Fault::Trickle(100));
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for(&layer).len(), 1);
}

#[test]
fn a_registry_that_is_asked_too_often_is_asked_again_when_it_says() {
    let (registry, bytes, _) = one();
    let later = |seconds: &str| Fault::Status(429, vec![("Retry-After".to_owned(), seconds.to_owned())]);
    registry.fault("/manifests/", 1, later("1"));
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for("/manifests/").len(), 2);
    // An hour is not waited for.
    registry.fault("/manifests/", 1, later("3600"));
    Client::of(&registry).fails("a/b:1", "status 429");
}

#[test]
fn a_server_in_trouble_and_a_lost_connection_are_tried_again() {
    let (registry, bytes, layer) = one();
    registry.fault("/manifests/", 1, Fault::Status(500, Vec::new()));
    registry.fault("/manifests/", 1, Fault::Hangup);
    registry.fault(&layer, 2, Fault::Status(503, Vec::new()));
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
}

#[test]
fn trouble_that_does_not_pass_is_given_up() {
    let (registry, ..) = one();
    registry.fault("/manifests/", 100, Fault::Status(502, Vec::new()));
    Client::of(&registry).fails("a/b:1", "status 502");
    assert_eq!(registry.requests().len(), 5);
}

// --- who we are ---

#[test]
fn a_token_is_fetched_by_nobody_in_particular() {
    let (registry, bytes, _) = one();
    registry.access(Access::Token(None));
    assert_eq!(Client::of(&registry).pull("a/b:1").unwrap().1, [bytes]);
    let tokens = registry.requests_for("/token");
    assert_eq!(tokens.len(), 1, "one token is enough for all of it");
    assert!(tokens[0].path.contains("service=test%20registry"), "{}", tokens[0].path);
    assert!(tokens[0].path.contains("scope=repository%3Aa%2Fb%3Apull"), "{}", tokens[0].path);
    assert_eq!(tokens[0].header("authorization"), None);
}

/// A file of credentials; `dTpw` is `u:p`.
fn login(registry: &Registry, entry: &str) -> String {
    format!(r#"{{"auths": {{"{}": {entry}}}}}"#, registry.address())
}

#[test]
fn a_token_is_fetched_with_a_name_and_a_password() {
    let (registry, bytes, _) = one();
    registry.access(Access::Token(Some(("u".to_owned(), "p".to_owned()))));
    let client = Client::of(&registry).credentials(&login(&registry, r#"{"auth": "dTpw"}"#));
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    for head in registry.requests_for("/v2/") {
        assert_ne!(
            head.header("authorization"),
            Some("Basic dTpw"),
            "the password is for whoever gives tokens"
        );
    }
    let wrong =
        Client::of(&registry).credentials(&login(&registry, r#"{"username": "u", "password": "secret"}"#));
    let error = wrong.pull("a/b:1").unwrap_err().to_string();
    assert!(error.contains("token from http://") && error.contains("status 401"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_token_is_fetched_for_an_identity() {
    let (registry, bytes, _) = one();
    registry.access(Access::Identity("i-am".to_owned()));
    let client = Client::of(&registry).credentials(&login(&registry, r#"{"identitytoken": "i-am"}"#));
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
}

#[test]
fn a_token_that_has_become_too_old_is_fetched_again() {
    let (registry, bytes, layer) = one();
    registry.access(Access::Token(None));
    let client = Client::of(&registry);
    let reference: Reference = "a/b:1".parse().unwrap();
    let Reference::Docker(docker) = &reference else { unreachable!() };
    let mut source = source(&client.settings, docker).unwrap();
    let found = source.describe(&reference, &Platform::host()).unwrap();
    registry.expire_tokens();
    let mut read = Vec::new();
    source.open(&found.layers[0].blob).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
    assert_eq!(registry.requests_for("/token").len(), 2);
    assert_eq!(registry.requests_for(&layer).len(), 2);
}

#[test]
fn a_name_and_a_password_are_told_to_who_asks_for_them() {
    let (registry, bytes, _) = one();
    registry.access(Access::Basic("u".to_owned(), "p".to_owned()));
    let client = Client::of(&registry).credentials(&login(&registry, r#"{"auth": "dTpw"}"#));
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    Client::of(&registry).fails("a/b:1", "it wants a name and a password, and there are none for 127.0.0.1");
}

#[test]
fn a_redirection_is_followed_and_its_target_is_not_told_who_we_are() {
    let (registry, bytes, layer) = one();
    let elsewhere = Registry::start();
    elsewhere.contents(|contents| contents.file("/store/x", &bytes));
    registry.access(Access::Basic("u".to_owned(), "p".to_owned()));
    // The first is the 401.
    registry.redirect(&layer, 1, &format!("{}/store/x?signature=y", elsewhere.url()));
    let client = Client::of(&registry).credentials(&login(&registry, r#"{"auth": "dTpw"}"#));
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for(&layer)[0].header("authorization"), Some("Basic dTpw"));
    let asked = elsewhere.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn whoever_a_registry_sends_us_to_cannot_ask_who_we_are() {
    let (registry, bytes, layer) = one();
    let elsewhere = Registry::start();
    elsewhere.contents(|contents| contents.file("/store/x", &bytes));
    for challenge in [format!("Bearer realm=\"{}/token\"", elsewhere.url()), "Basic realm=\"x\"".to_owned()] {
        registry.redirect(&layer, 1, &format!("{}/store/x", elsewhere.url()));
        elsewhere.fault("/store/x", 1, Fault::Status(401, vec![("WWW-Authenticate".to_owned(), challenge)]));
        let client = Client::of(&registry).credentials(&login(&registry, r#"{"auth": "dTpw"}"#));
        client.fails("a/b:1", "status 401");
    }
    assert!(elsewhere.requests().iter().all(|head| head.header("authorization").is_none()));
    assert_eq!(elsewhere.requests_for("/token").len(), 0);
}

#[test]
fn redirections_in_a_circle_and_to_somewhere_strange_are_not_followed() {
    let (registry, _, layer) = one();
    let client = Client::of(&registry);
    registry.redirect(&layer, 6, &format!("/v2/a/b/blobs/{layer}"));
    client.fails("a/b:1", "more than 5 times");
    registry.redirect(&layer, 1, "file:///etc/passwd");
    client.fails("a/b:1", "it sends us to \"file:///etc/passwd\"");
}

// --- TLS ---

#[test]
fn a_certificate_is_checked_against_those_that_are_trusted() {
    let registry = Registry::start_tls();
    let bytes = layer(1);
    registry.contents(|contents| contents.image("a", "1", &[&bytes]));
    let mut client = Client::of(&registry);
    client.settings.pull.ca = Some(registry.ca());
    assert_eq!(client.pull("a:1").unwrap().1, [bytes]);
    let other = Registry::start_tls();
    client.settings.pull.ca = Some(other.ca());
    client.fails("a:1", "TLS: ");
}

#[test]
fn a_registry_with_tls_does_not_lead_to_a_place_without() {
    let registry = Registry::start_tls();
    let (plain, bytes, _) = one();
    let sample = registry.contents(|contents| contents.image("a", "1", &[&bytes]));
    registry.redirect(&sample.layers[0], 1, &format!("{}/x", plain.url()));
    let mut client = Client::of(&registry);
    client.settings.pull.ca = Some(registry.ca());
    client.fails("a:1", "without TLS");
    assert!(plain.requests().is_empty());
}

#[test]
fn another_machine_without_tls_is_not_asked_unless_that_is_said() {
    let (registry, ..) = one();
    let mut client = Client::of(&registry);
    client.settings.registry = "http://192.0.2.1:5000".to_owned();
    client.fails("a/b:1", "without TLS");
}

// --- mirrors ---

#[test]
fn a_mirror_is_asked_first_and_the_registry_for_what_it_lacks() {
    let (registry, bytes, layer) = one();
    let (mirror, ..) = one();
    let mut client = Client::of(&registry);
    client.settings.pull.mirrors = vec![mirror.url()];
    assert_eq!(client.pull("a/b:1").unwrap().1, std::slice::from_ref(&bytes));
    assert!(registry.requests().is_empty());
    let empty = Registry::start();
    client.settings.pull.mirrors = vec![empty.url(), mirror.url()];
    mirror.fault(&layer, 1, Fault::Status(404, Vec::new()));
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn a_mirror_that_lies_is_passed_over() {
    let (registry, bytes, layer) = one();
    let (mirror, ..) = one();
    mirror.fault(&layer, 1, Fault::Wrong);
    let mut client = Client::of(&registry);
    client.settings.pull.mirrors = vec![mirror.url()];
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(registry.requests_for(&layer).len(), 1);
}

#[test]
fn a_mirror_that_is_gone_is_not_asked_for_every_layer() {
    let (registry, bytes, _) = one();
    let (mirror, ..) = one();
    mirror.fault("/", 100, Fault::Hangup);
    let mut client = Client::of(&registry);
    client.settings.pull.mirrors = vec![mirror.url()];
    assert_eq!(client.pull("a/b:1").unwrap().1, [bytes]);
    assert_eq!(mirror.requests().len(), 2);
}

#[test]
fn a_mirror_of_another_registry_is_not_asked_and_each_failure_is_told() {
    let (registry, ..) = one();
    let (mirror, ..) = one();
    let mut client = Client::of(&registry);
    client.settings.pull.mirrors = vec![format!("other.example={}", mirror.url())];
    client.pull("a/b:1").unwrap();
    assert!(mirror.requests().is_empty());
    client.settings.pull.mirrors = vec![mirror.url()];
    let error = client.pull("a/b:3").unwrap_err().to_string();
    assert!(error.contains(&mirror.url()) && error.contains(&registry.url()), "{error}");
}

// --- several layers ---

#[test]
fn layers_are_fetched_three_at_once() {
    let registry = Registry::start();
    let layers: Vec<Vec<u8>> = (0..8).map(layer).collect();
    let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    registry.contents(|contents| contents.image("a", "1", &slices));
    for bytes in &layers[..3] {
        registry.fault(&digest(bytes), 1, Fault::Together(3));
    }
    assert_eq!(Client::of(&registry).pull("a:1").unwrap().1, layers);
    // What the pull itself asks for may come beside them.
    let most = registry.most_at_once();
    assert!((3..=4).contains(&most), "{most} at once");
}

#[test]
fn a_layer_that_comes_twice_is_given_twice_and_one_that_fails_fails_the_pull() {
    let registry = Registry::start();
    let layers = [layer(1), layer(2), layer(1)];
    let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    registry.contents(|contents| contents.image("a", "1", &slices));
    let client = Client::of(&registry);
    assert_eq!(client.pull("a:1").unwrap().1, layers);
    registry.fault(&digest(&layers[1]), 1, Fault::Status(403, Vec::new()));
    client.fails("a:1", "status 403");
}

// --- App Container Images ---

fn fetch(client: &Client, prefix: &str, reference: &str) -> Result<Option<Vec<u8>>> {
    let found = image::pull::appc::fetch(&client.settings, prefix, &reference.parse().unwrap())?;
    Ok(found.map(|(mut file, _)| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }))
}

#[test]
fn an_app_container_image_is_found_by_its_name_on_a_web_server() {
    let server = Registry::start();
    let bytes = layer(1);
    server.contents(|contents| contents.file("/images/example.com/a-1.0-linux-amd64.aci", &bytes));
    let client = Client::of(&server);
    let prefix = format!("{}/images/", server.url());
    let name = "example.com/a,version=1.0,os=linux,arch=amd64";
    // What is cut off is begun again: nothing says that it is still the same.
    server.fault("/images/", 1, Fault::Cut(70_000));
    server.fault("/images/", 1, Fault::Status(503, Vec::new()));
    server.redirect("/images/", 1, "/images/example.com/a-1.0-linux-amd64.aci");
    assert_eq!(fetch(&client, &prefix, name).unwrap().unwrap(), bytes);
    assert!(server.requests().iter().all(|head| head.header("range").is_none()));
    server.fault("/images/", 1, Fault::Status(404, Vec::new()));
    assert_eq!(fetch(&client, &prefix, name).unwrap(), None);
    client.leaves_nothing();
}

#[test]
fn an_app_container_image_that_is_larger_than_allowed_is_refused() {
    let server = Registry::start();
    server.contents(|contents| contents.file("/a-latest-linux-amd64.aci", &layer(1)));
    let mut client = Client::of(&server);
    client.settings.pull.largest = 100_000;
    let prefix = format!("{}/", server.url());
    let refused = |client: &Client| fetch(client, &prefix, "a,os=linux,arch=amd64").unwrap_err().to_string();
    assert!(refused(&client).contains("more than the 100000 bytes allowed"));
    // Without a length, it is counted.
    server.fault("/a-", 1, Fault::Longer);
    assert!(refused(&client).contains("more than the 100000 bytes allowed"));
    client.leaves_nothing();
}
