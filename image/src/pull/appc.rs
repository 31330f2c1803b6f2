//! App Container Images from web servers: simple discovery (App Container specification, "App Container Image
//! Discovery"), by which the name of an image is its address.

use std::fs::File;

use super::endpoint::Endpoint;
use super::http::Http;
use super::page::Fetch;
use super::{report, staging};
use crate::discovery::aci_name;
use crate::error::{Context, Error, Result};
use crate::platform::Platform;
use crate::reference::Appc;
use crate::settings::Settings;

/// The archive of an image and its address; none if there is no such. Nothing of it is checked yet.
///
/// # Errors
/// It cannot be had.
pub fn fetch(settings: &Settings, prefix: &str, reference: &Appc) -> Result<Option<(File, String)>> {
    let url = address(prefix, reference, &Platform::host());
    let options = &settings.pull;
    check_protection(&url, reference, &options.insecure).context(|| format!("unable to fetch {url}"))?;
    let http = Http::new(options.ca.clone(), options.silence);
    let report = report(options, &reference.name);
    let staging = staging(settings);
    let fetch = Fetch { http: &http, staging: &staging, largest: options.largest, report: &report };
    let found = fetch.get(&url).context(|| "unable to fetch an image");
    report.finish();
    Ok(found?.map(|file| (file, url)))
}

/// Where an image is: `PREFIX{name}-{version}-{os}-{arch}.aci`. What is not said is `latest` and this machine's.
#[must_use]
pub fn address(prefix: &str, reference: &Appc, platform: &Platform) -> String {
    let name = aci_name(reference, platform);
    // A name has no letters that an address cannot have; a label may.
    let escaped: String = name.split('/').map(super::address::escape).collect::<Vec<_>>().join("/");
    format!("{prefix}{escaped}")
}

/// Without TLS it is this machine that is asked, one that was declared, or the reference says what has to come.
fn check_protection(url: &str, reference: &Appc, insecure: &[String]) -> Result<()> {
    let (scheme, authority) =
        super::address::origin(url).ok_or_else(|| Error::refused("it is no address of the web"))?;
    if scheme == "http" && reference.id.is_some() {
        return Ok(());
    }
    Endpoint::parse(&format!("{scheme}://{authority}"), insecure).map(drop).map_err(Error::refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

    fn amd64() -> Platform {
        Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None }
    }

    #[test]
    fn the_address_of_an_image_is_its_name_with_its_labels() {
        let at = |text: &str| address("https://", &text.parse().unwrap(), &amd64());
        assert_eq!(at("example.com/a/b"), "https://example.com/a/b-latest-linux-amd64.aci");
        assert_eq!(
            at("example.com/a,version=1.0,os=freebsd,arch=i386"),
            "https://example.com/a-1.0-freebsd-i386.aci"
        );
        assert_eq!(at("example.com/a,version=1?x#y"), "https://example.com/a-1%3Fx%23y-linux-amd64.aci");
    }

    #[test]
    fn without_tls_nothing_comes_from_another_machine_unless_its_id_is_known() {
        let check = |text: &str, insecure: &[String]| {
            let reference: Appc = text.parse().unwrap();
            check_protection(&address("http://", &reference, &amd64()), &reference, insecure)
        };
        assert!(check("example.com/a", &[]).unwrap_err().to_string().contains("without TLS"));
        assert!(check("example.com/a", &["example.com".to_owned()]).is_ok());
        assert!(check(&format!("example.com/a,id=sha512-{ID}"), &[]).is_ok());
        assert!(check("localhost/a", &[]).is_ok());
    }
}
