//! What the documents have to be.

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifest(config: &str, layer: &str, digest: &str) -> Result<Manifest> {
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"{DIGEST}","size":2}},
            "layers":[{{"mediaType":"{layer}","digest":"{digest}","size":3,"unknown":[1]}}]}}"#
    );
    Manifest::parse(text.as_bytes(), "m")
}

#[test]
fn a_manifest_has_a_configuration_and_layers_with_digests() {
    let config = "application/vnd.oci.image.config.v1+json";
    let layer = "application/vnd.oci.image.layer.v1.tar+zstd";
    let good = manifest(config, layer, DIGEST).unwrap();
    assert_eq!((good.layers.len(), good.layers[0].size), (1, 3));
    let error = |config, layer, digest| manifest(config, layer, digest).unwrap_err().to_string();
    assert!(error(config, "text/plain", DIGEST).contains("no layer"));
    assert!(error("application/vnd.helm.config", layer, DIGEST).contains("no container image"));
    assert!(error(config, layer, "sha256:12").contains("is no sha256 digest"));
    assert!(Manifest::parse(b"{", "m").is_err());
    assert!(Manifest::parse(br#"{"schemaVersion":1}"#, "m").is_err());
    let wrong = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","layers":[],
            "config":{{"mediaType":"{config}","digest":"{DIGEST}","size":2}}}}"#
    );
    assert!(Manifest::parse(wrong.as_bytes(), "m").unwrap_err().to_string().contains("media type"));
}

#[test]
fn an_index_is_asked_for_a_platform() {
    let entry = |platform: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":7{platform}}}"#
        )
    };
    let arm = |variant: &str| {
        entry(&format!(r#","platform":{{"os":"linux","architecture":"arm","variant":"{variant}"}}"#))
    };
    let parse = |entries: &[String]| {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        Index::parse(text.as_bytes(), "i").unwrap()
    };
    let platform = |variant: Option<&str>, architecture: &str| Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
    };
    let two = parse(&[arm("v6"), arm("v7")]);
    let chosen = two.choose(&platform(Some("v7"), "arm"), "i").unwrap();
    assert_eq!(chosen.platform, Some(platform(Some("v7"), "arm")));
    let error = two.choose(&platform(None, "amd64"), "i").unwrap_err().to_string();
    assert_eq!(error, "image index i: no image for linux/amd64 (there are: linux/arm/v6, linux/arm/v7)");
    let four = parse(&[arm("v5"), arm("v6"), arm("v8"), entry("")]);
    let chosen = four.choose(&platform(Some("v7"), "arm"), "i").unwrap();
    assert_eq!(chosen.platform, Some(platform(Some("v6"), "arm")), "the latest that runs here");
    let chosen = four.choose(&platform(None, "arm"), "i").unwrap();
    assert_eq!(chosen.platform, Some(platform(Some("v5"), "arm")), "the one that asks for the least");
    assert!(two.choose(&platform(Some("v5"), "arm"), "i").is_err());
    assert!(parse(&[arm("v6"), entry("")]).choose(&platform(None, "amd64"), "i").unwrap().platform.is_none());
}

#[test]
fn a_configuration_may_lack_everything_but_not_be_something_else() {
    let parse = |text: &str| ImageConfig::parse(text.as_bytes(), "c");
    assert_eq!(parse("{}").unwrap().config, crate::config::Config::default());
    let text = r#"{"os":"linux","architecture":"amd64","parent":null,"config":{"Cmd":"sh","Entrypoint":null,
        "Env":["A=1"],"ExposedPorts":{"80/tcp":{}},"User":"1:2","StopSignal":"SIGQUIT","Volumes":null},
        "rootfs":{"type":"layers","diff_ids":["DIGEST"]}}"#;
    let good = parse(&text.replace("DIGEST", DIGEST)).unwrap();
    assert_eq!((good.config.cmd, good.config.exposed), (vec!["sh".to_owned()], vec!["80/tcp".to_owned()]));
    assert_eq!((good.diff_ids.len(), good.parent), (1, None));
    assert!(parse(text).is_err());
    assert!(parse(r#"{"parent":1}"#).is_err());
    assert!(parse(r#"{"rootfs":{"type":"x"}}"#).is_err());
    assert!(parse(r#"{"config":{"Env":"A=1"}}"#).is_err());
}
