//! Tokens: what their bearer may do with which process, and until when, signed (Ed25519). The host that checks one needs the public key
//! only; whoever holds a token has what it grants, so it is kept like a password, and expires.
//!
//! `adit1.PAYLOAD.SIGNATURE`, both in base64 (URL alphabet, no padding). The payload is JSON; the signature is over [`PREFIX`] and the payload
//! as it stands, so that nothing needs to be parsed before it is known to be ours.

use super::scopes::Scopes;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Form and version of a token.
const FORM: &str = "adit1";
/// What is signed before the payload: a signature for something else is none for a token.
const PREFIX: &[u8] = b"adit token 1\n";
/// Longest token, bytes.
pub const LONGEST: usize = 4096;
/// Longest time for which one is made.
pub const MOST: Duration = Duration::from_secs(30 * 24 * 3600);
/// First word of a file with the key that signs, and of one with the key that checks.
const PRIVATE: &str = "adit-token-private-key";
const PUBLIC: &str = "adit-token-public-key";

/// What a token grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its number: on record wherever it is used.
    pub id: String,
    /// For whom, in words; on record too.
    #[serde(default)]
    pub to: String,
    /// Scopes, as they are written.
    pub scopes: String,
    /// Until when, seconds since 1970.
    pub expires: u64,
    /// For this process only.
    #[serde(default)]
    pub target: Option<i32>,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has not the form of one.
    #[error("this is no token of adit")]
    NoToken,
    /// The signature does not fit.
    #[error("the token was not signed with the key of this host, or was changed")]
    Signature,
    /// What is signed makes no sense.
    #[error("the token is signed, but {0}")]
    Payload(String),
    /// It was good until then.
    #[error("the token expired {} s ago", .0.as_secs())]
    Expired(Duration),
    /// It is for another process.
    #[error("the token is for process {0} only")]
    OtherTarget(i32),
    /// A file with a key is none.
    #[error("{0}")]
    Key(String),
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A key that signs.
pub struct Signer(Ed25519KeyPair);

/// A key that checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker([u8; 32]);

fn broken<E>(what: &'static str) -> impl Fn(E) -> TokenError {
    move |_| TokenError::Key(what.into())
}

/// What follows a word in a file of one line.
fn behind<'t>(text: &'t str, word: &str) -> Result<&'t str, TokenError> {
    let line = text.lines().next().unwrap_or("").trim();
    match line.split_once(' ') {
        Some((w, rest)) if w == word => Ok(rest.split(' ').next().unwrap_or("")),
        Some((PRIVATE, _)) => {
            Err(TokenError::Key("this is the key that signs; a host takes the one that checks (.pub)".into()))
        }
        Some((PUBLIC, _)) => Err(TokenError::Key("this is the key that checks, not the one that signs".into())),
        _ => Err(TokenError::Key(format!("no `{word} …` is in it"))),
    }
}

impl Signer {
    /// A new key: it, and its file's text.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate() -> Result<(Signer, String), TokenError> {
        let made =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(broken("no random numbers for a key"))?;
        let text = format!("{PRIVATE} {}\n", STANDARD.encode(made.as_ref()));
        Ok((Signer::read(&text)?, text))
    }

    /// Out of a file's text.
    ///
    /// # Errors
    /// It is no key.
    pub fn read(text: &str) -> Result<Signer, TokenError> {
        let der = STANDARD.decode(behind(text, PRIVATE)?).map_err(broken("the key is damaged"))?;
        Ed25519KeyPair::from_pkcs8(&der).map(Signer).map_err(broken("the key is damaged"))
    }

    /// The text of the file that hosts get.
    pub fn public_text(&self) -> String {
        format!("{PUBLIC} {}\n", STANDARD.encode(self.0.public_key().as_ref()))
    }

    /// Signs a token.
    ///
    /// # Errors
    /// The grant cannot be written down.
    pub fn sign(&self, g: &Grant) -> Result<String, TokenError> {
        let payload = serde_json::to_vec(g).map_err(|e| TokenError::Payload(e.to_string()))?;
        let signature = self.0.sign(&[PREFIX, &payload].concat());
        Ok(format!("{FORM}.{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

impl Checker {
    /// Out of a file's text.
    ///
    /// # Errors
    /// It is no key.
    pub fn read(text: &str) -> Result<Checker, TokenError> {
        let key = STANDARD.decode(behind(text, PUBLIC)?).map_err(broken("the key is damaged"))?;
        key.try_into().map(Checker).map_err(broken("the key is damaged"))
    }

    /// What a token grants now, for a process if one is named.
    ///
    /// # Errors
    /// It is none, was changed, has expired, or is for another process.
    pub fn check(&self, token: &str, now: u64, target: Option<i32>) -> Result<(Grant, Scopes), TokenError> {
        let token = token.trim();
        if token.len() > LONGEST {
            return Err(TokenError::NoToken);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [FORM, payload, signature] = parts[..] else { return Err(TokenError::NoToken) };
        let decoded = |t: &str| URL_SAFE_NO_PAD.decode(t).map_err(|_| TokenError::NoToken);
        let (payload, signature) = (decoded(payload)?, decoded(signature)?);
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&[PREFIX, &payload].concat(), &signature)
            .map_err(|_| TokenError::Signature)?;
        let g: Grant = serde_json::from_slice(&payload)
            .map_err(|e| TokenError::Payload(crate::base::text::printable_str(&e.to_string(), 100)))?;
        let scopes = Scopes::parse(&g.scopes).map_err(TokenError::Payload)?;
        if g.expires <= now {
            return Err(TokenError::Expired(Duration::from_secs(now - g.expires)));
        }
        match g.target {
            Some(p) if target.is_some_and(|t| t != p) => Err(TokenError::OtherTarget(p)),
            _ => Ok((g, scopes)),
        }
    }
}

/// `90s`, `30m`, `12h`, `7d`.
///
/// # Errors
/// It is no time, none at all, or too long.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: 90s, 30m, 12h, 7d");
    let unit = text.chars().last().ok_or_else(bad)?;
    let factor: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let n: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
    let all = n.checked_mul(factor).filter(|n| *n > 0).map(Duration::from_secs).ok_or_else(bad)?;
    if all > MOST { Err(format!("a token is good for {} days at most", MOST.as_secs() / 86_400)) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::scopes::Scope;

    fn grant() -> Grant {
        Grant { id: "12".into(), to: "bob".into(), scopes: "observer".into(), expires: 1000, target: Some(7) }
    }

    #[test]
    fn what_is_signed_is_granted_and_nothing_else() {
        let (s, text) = Signer::generate().expect("a key");
        let c = Checker::read(&s.public_text()).expect("its other half");
        let token = s.sign(&grant()).expect("signed");
        let (g, scopes) = c.check(&token, 999, Some(7)).expect("good");
        assert_eq!((g, scopes.has(Scope::ReadVars), scopes.has(Scope::Kill)), (grant(), true, false));
        assert_eq!(c.check(&token, 1030, Some(7)), Err(TokenError::Expired(Duration::from_secs(30))));
        assert_eq!(c.check(&token, 999, Some(8)), Err(TokenError::OtherTarget(7)));
        let (other, _) = Signer::generate().expect("a key");
        assert_eq!(c.check(&other.sign(&grant()).expect("signed"), 999, Some(7)), Err(TokenError::Signature));
        // Every bit of it counts.
        for i in 0..token.len() {
            let mut b = token.clone().into_bytes();
            b[i] ^= 1;
            let changed = String::from_utf8(b).expect("text");
            assert!(c.check(&changed, 999, Some(7)).is_err(), "byte {i}");
            assert!(c.check(&token[..i], 999, Some(7)).is_err(), "cut at {i}");
        }
        assert!(Checker::read(&text).is_err() && Signer::read(&s.public_text()).is_err() && Signer::read("x").is_err());
        let wrong = s.sign(&Grant { scopes: "everything".into(), ..grant() }).expect("signed");
        assert!(matches!(c.check(&wrong, 1, None), Err(TokenError::Payload(w)) if w.contains("no such scope")));
    }

    #[test]
    fn times() {
        assert_eq!(lifetime("2h"), Ok(Duration::from_secs(7200)));
        for t in ["", "h", "0s", "2", "2w", "-1h", "99999999999999999999d", "31d", "1é"] {
            assert!(lifetime(t).is_err(), "{t}");
        }
    }
}
