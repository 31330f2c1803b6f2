//! Asking one registry: who we are, where it sends us, and what is tried again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::address::{escape, follow, same_origin};
use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Scheme};
use super::http::{Answer, Failure, Http};
use super::retry::Attempts;
use crate::error::Error;

/// How often one is sent elsewhere before that counts as a circle.
const REDIRECTIONS: usize = 5;
/// The longest answer with a token.
const TOKEN_LIMIT: u64 = 256 << 10;
/// Who asks for a token, where one is asked.
const CLIENT: &str = "svctl-image";

/// One registry or mirror.
pub struct Session {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether there is nobody else to ask.
    pub last_resort: bool,
    credentials: Option<Credentials>,
    /// The header that was accepted, by what it is for.
    accepted: Mutex<HashMap<String, String>>,
    /// Whether it has been given up.
    lost: AtomicBool,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The address.
    pub url: &'a str,
    /// The header `Accept`.
    pub accept: &'a str,
    /// The first byte that is wanted.
    pub from: u64,
    /// The repository, for which we may need permission.
    pub repository: &'a str,
}

impl Session {
    /// One that nothing was asked yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, credentials: Option<Credentials>, last_resort: bool) -> Session {
        Session {
            endpoint,
            last_resort,
            credentials,
            accepted: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// Whether it does not answer, and another one should be asked.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        !self.last_resort && self.lost.load(Ordering::Relaxed)
    }

    /// Takes note that it does not answer.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Asks until there is an answer of success or a reason to give up.
    ///
    /// # Errors
    /// What the last attempt failed with.
    pub fn ask<T>(
        &self,
        attempts: &mut Attempts,
        mut attempt: impl FnMut(&mut Attempts) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        loop {
            let (setback, error) = match attempt(attempts) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(setback, error)) => (setback, error),
            };
            match attempts.after(setback) {
                Some(pause) => std::thread::sleep(pause),
                None => {
                    self.lose();
                    return Err(error);
                }
            }
        }
    }

    /// Asks once, proves who we are if need be, and goes where we are sent.
    ///
    /// # Errors
    /// The answer is not one of success.
    pub fn get(&self, http: &Http, request: Request<'_>) -> Result<Answer, Failure> {
        let mut authorization = self.known(request.repository);
        let mut challenged = false;
        loop {
            let (answer, from) = self.send(http, request, authorization.as_deref())?;
            // Where the registry has sent us, nobody may ask who we are: what they name would be told.
            if answer.status != 401 || challenged || !same_origin(&from, request.url) {
                return if matches!(answer.status, 200 | 206) { Ok(answer) } else { Err(answer.complaint()) };
            }
            challenged = true;
            // A token may be too old by now: what is asked for now counts, not what was known.
            let Some(asked) = answer.headers("www-authenticate").find_map(challenge::parse) else {
                return Err(answer.complaint());
            };
            let header = self.authorize(http, &asked, request.repository)?;
            let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            accepted.insert(request.repository.to_owned(), header.clone());
            drop(accepted);
            authorization = Some(header);
        }
    }

    fn known(&self, repository: &str) -> Option<String> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(header) = accepted.get(repository) {
            return Some(header.clone());
        }
        match &self.credentials {
            Some(Credentials::Token(token)) => Some(format!("Bearer {token}")),
            _ => None,
        }
    }

    /// Sends a request, and follows redirections; only the registry itself hears who we are. Tells who has answered.
    fn send(
        &self,
        http: &Http,
        request: Request<'_>,
        authorization: Option<&str>,
    ) -> Result<(Answer, String), Failure> {
        let range = format!("bytes={}-", request.from);
        let mut url = request.url.to_owned();
        for _ in 0..=REDIRECTIONS {
            let mut headers = vec![("Accept", request.accept)];
            if request.from > 0 {
                headers.push(("Range", &range));
            }
            if let Some(authorization) = authorization.filter(|_| same_origin(&url, request.url)) {
                headers.push(("Authorization", authorization));
            }
            let answer = http.get(&url, &headers)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((answer, url));
            }
            let location = answer.header("location").unwrap_or_default();
            url = follow(&url, location)
                .ok_or_else(|| Failure::Final(Error::refused(format!("it sends us to {location:?}"))))?;
            self.check_protection(&url)?;
        }
        Err(Failure::Final(Error::refused(format!("it sends us elsewhere more than {REDIRECTIONS} times"))))
    }

    /// A registry with TLS does not lead to a place without it.
    fn check_protection(&self, url: &str) -> Result<(), Failure> {
        if self.endpoint.scheme == Scheme::Https && !url.starts_with("https://") {
            return Err(Failure::Final(Error::refused(format!(
                "it sends us to {url:?}, which is without TLS"
            ))));
        }
        Ok(())
    }

    /// The header that a challenge asks for.
    fn authorize(&self, http: &Http, asked: &Challenge, repository: &str) -> Result<String, Failure> {
        match asked {
            Challenge::Basic => self.credentials.as_ref().and_then(Credentials::basic).ok_or_else(|| {
                let authority = self.endpoint.authority();
                Failure::Final(Error::refused(format!(
                    "it wants a name and a password, and there are none for {authority}"
                )))
            }),
            Challenge::Bearer { realm, service, scope } => {
                self.check_protection(realm)?;
                let plain = format!("repository:{repository}:pull");
                let scope = scope.as_deref().unwrap_or(&plain);
                let token = self.token(http, realm, service.as_deref(), scope);
                Ok(format!(
                    "Bearer {}",
                    token.map_err(|failure| failure.during(format_args!("token from {realm}")))?
                ))
            }
        }
    }

    /// Fetches a token (distribution specification, token authentication).
    fn token(&self, http: &Http, realm: &str, service: Option<&str>, scope: &str) -> Result<String, Failure> {
        let answer = if let Some(Credentials::Identity(token)) = &self.credentials {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("scope", scope),
                ("refresh_token", token),
            ];
            form.extend(service.map(|service| ("service", service)));
            http.post(realm, &form)?
        } else {
            let basic = self.credentials.as_ref().and_then(Credentials::basic);
            let mut url =
                format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, escape(scope));
            if let Some(service) = service {
                url = format!("{url}&service={}", escape(service));
            }
            let headers: Vec<_> = basic.iter().map(|basic| ("Authorization", basic.as_str())).collect();
            http.get(&url, &headers)?
        };
        if answer.status != 200 {
            return Err(answer.complaint());
        }
        let bytes = answer.bytes(TOKEN_LIMIT)?;
        let given: Given = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::Final(Error::refused("the answer has no token")))?;
        let token = given.token.or(given.access_token).filter(|token| is_word(token));
        token.ok_or_else(|| Failure::Final(Error::refused("the answer has no token")))
    }
}

/// An answer with a token, under either name.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

/// Whether it can stand in a header.
fn is_word(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
