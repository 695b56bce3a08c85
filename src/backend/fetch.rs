//! Profiles over HTTP, as `net/http/pprof` serves them, plain or over TLS: no proxies, no redirections to anywhere else, and no way to do without the
//! other side's certificate. Who signs it is believed if the system believes it, or if the user names it, and then nobody else.

use super::protocol::{Failure, FailureKind};
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const CONNECT: Duration = Duration::from_secs(5);
/// Beyond the time for which a profile is taken.
const ANSWER: Duration = Duration::from_secs(20);
/// For what is there or not.
const QUICK: Duration = Duration::from_secs(2);
/// Longest answer, packed.
const MAX_BODY: u64 = 1 << 30;
/// Seconds of a CPU profile where nothing is said.
pub const SECONDS: u64 = 5;

/// Longest file of certificates.
const MAX_PEM: u64 = 4 << 20;

/// Who alone may sign certificates, if the user named somebody.
static NAMED: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();

/// From here on only certificates that one in this file (PEM) stands for are believed. To be called once, at the start.
pub fn trust(file: &Path) -> Result<(), Failure> {
    let fail = |why: String| {
        Failure::new(FailureKind::BadRequest, format!("--cacert {}: {why}", file.display()))
            .fix("it takes a file with one or more -----BEGIN CERTIFICATE----- parts")
    };
    let mut pem = Vec::new();
    let opened = std::fs::File::open(file).map_err(|e| fail(e.to_string()))?;
    opened.take(MAX_PEM).read_to_end(&mut pem).map_err(|e| fail(e.to_string()))?;
    let mut all = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(c) = item.map_err(|e| fail(e.to_string()))? {
            all.push(c);
        }
    }
    if all.is_empty() {
        return Err(fail("no certificate in it".into()));
    }
    // A second call would be a second flag, which the command line refuses.
    let _named_already = NAMED.set(all);
    Ok(())
}

/// Who may sign certificates: those named, else the system's, else (in a container without any) Mozilla's list as it was when this was built.
fn roots() -> RootCerts {
    if let Some(named) = NAMED.get() {
        return RootCerts::new_with_certs(named);
    }
    let found = rustls_native_certs::load_native_certs();
    for e in &found.errors {
        tracing::warn!("certificates of the system: {e}");
    }
    let all: Vec<Certificate<'static>> =
        found.certs.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect();
    if all.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&all) }
}

/// An address of a profile, rather than a file?
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The address of a profile: of a bare `http://host:port`, the CPU profile's.
pub fn complete(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |p| p.1);
    match rest.split_once('/') {
        None | Some((_, "")) => {
            format!("{}/debug/pprof/profile?seconds={SECONDS}", url.trim_end_matches('/'))
        }
        Some((_, "debug/pprof" | "debug/pprof/")) => {
            format!("{}/profile?seconds={SECONDS}", url.trim_end_matches('/'))
        }
        Some(_) => url.to_string(),
    }
}

/// How long the other side will measure before it answers.
fn measured(url: &str) -> Duration {
    let seconds = url.split(['?', '&']).find_map(|p| p.strip_prefix("seconds=")).and_then(|n| n.parse::<f64>().ok());
    match seconds {
        Some(n) if n.is_finite() && n > 0.0 => Duration::from_secs_f64(n.min(86_400.0)),
        _ if url.contains("/profile") => Duration::from_secs(30),
        _ => Duration::ZERO,
    }
}

/// The body of the answer to a GET.
pub fn get(url: &str) -> Result<Box<dyn Read + Send>, Failure> {
    get_within(url, measured(url) + ANSWER)
}

/// As [`get`], of something that answers at once if at all.
pub fn get_quickly(url: &str) -> Result<Box<dyn Read + Send>, Failure> {
    get_within(url, QUICK)
}

fn get_within(url: &str, patience: Duration) -> Result<Box<dyn Read + Send>, Failure> {
    let secure = url.starts_with("https://");
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(6 * patience));
    let config = match secure {
        true => config.tls_config(TlsConfig::builder().root_certs(roots()).build()).build(),
        false => config.build(),
    };
    let answer = ureq::Agent::new_with_config(config).get(url).call();
    let mut answer = answer.map_err(|e| {
        let said = e.to_string();
        let fix = match secure && ["certificate", "Certificate"].iter().any(|w| said.contains(w)) {
            true => "--cacert FILE names who signed its certificate; the address has to be one that it is for",
            false => "the program has to import net/http/pprof and listen there",
        };
        Failure::new(FailureKind::Unavailable, format!("{url}: {}", crate::base::text::printable_str(&said, 300)))
            .fix(fix)
    })?;
    let status = answer.status();
    if status.as_u16() != 200 {
        let mut said = String::new();
        // What it says is for people; half of it will do.
        let _cut = answer.body_mut().as_reader().take(200).read_to_string(&mut said);
        let said = crate::base::text::printable_str(said.trim(), 200);
        return Err(Failure::new(FailureKind::Unavailable, format!("{url}: {status}: {said}")));
    }
    Ok(Box::new(answer.into_body().into_with_config().limit(MAX_BODY).reader()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, want) in [
            ("http://h:6060", "http://h:6060/debug/pprof/profile?seconds=5"),
            ("http://h:6060/", "http://h:6060/debug/pprof/profile?seconds=5"),
            ("http://h:6060/debug/pprof/", "http://h:6060/debug/pprof/profile?seconds=5"),
            ("http://h/debug/pprof/heap", "http://h/debug/pprof/heap"),
        ] {
            assert_eq!(complete(url), want);
        }
        assert_eq!(measured("http://h/debug/pprof/heap?gc=1&seconds=3"), Duration::from_secs(3));
        assert_eq!(measured("http://h/debug/pprof/profile"), Duration::from_secs(30));
        assert_eq!(measured("http://h/debug/pprof/heap"), Duration::ZERO);
    }
}
