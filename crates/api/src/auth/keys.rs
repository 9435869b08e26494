//! Keys that verify tokens: from a secret, a PEM text or a JWKS, each bound to its one algorithm.
//!
//! Owns: reading keys, and which algorithm a key is for.
//! Refuses to know: claims, where a text comes from.
//!
//! Invariant: the algorithm follows from the kind of key. What a token says about it can only be refused, never believed:
//! a public key is no HMAC secret, and there is no key for `none`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use serde::Deserialize;

/// The algorithms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA PKCS#1 v1.5 with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The word in a token's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

enum Material {
    Hmac(hmac::Key),
    Rsa(signature::RsaPublicKeyComponents<Vec<u8>>),
    Ed25519(Vec<u8>),
}

/// A key that verifies tokens.
pub struct Key {
    /// The id that tokens name it by; none: it is tried whenever the algorithm fits.
    pub id: Option<String>,
    material: Material,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret is too short to be one.
    #[error("an HS256 secret has at least 32 bytes; this one has {0}")]
    ShortSecret(usize),
    /// A public key stands where a secret is wanted.
    #[error("this is a PEM text, no secret: configure it as a public key")]
    PemAsSecret,
    /// Not a public key in PEM.
    #[error("expected a PEM text of an RSA or Ed25519 public key (`-----BEGIN PUBLIC KEY-----`): {0}")]
    Pem(&'static str),
    /// Not a key set.
    #[error("expected a JSON Web Key Set, {{\"keys\": [...]}}: {0}")]
    Jwks(String),
    /// A key set from a server holds a secret.
    #[error("the key set has a symmetric key ({0:?}): whoever can read it could sign")]
    PublishedSecret(String),
    /// The set holds no key that is used here.
    #[error("the key set has no RSA key for RS256 and no Ed25519 key")]
    NoKey,
}

impl Key {
    /// A shared secret, for HS256.
    ///
    /// # Errors
    /// It is shorter than 32 bytes, or a PEM text.
    pub fn secret(id: Option<String>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.windows(11).any(|at| at == b"-----BEGIN ") {
            return Err(KeyError::PemAsSecret);
        }
        if secret.len() < 32 {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Self { id, material: Material::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret)) })
    }

    /// A public key in PEM: RSA (RS256) or Ed25519 (EdDSA).
    ///
    /// # Errors
    /// It is something else.
    pub fn pem(id: Option<String>, text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem_block(text).ok_or(KeyError::Pem("there is no complete block"))?;
        let material = match label {
            "PUBLIC KEY" => spki(&der),
            "RSA PUBLIC KEY" => pkcs1(&der),
            _ => return Err(KeyError::Pem("the block is no public key")),
        };
        Ok(Self { id, material: material.ok_or(KeyError::Pem("the block holds another kind of key"))? })
    }

    /// The one algorithm this key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Hmac(_) => Algorithm::Hs256,
            Material::Rsa(_) => Algorithm::Rs256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether `signature` is this key's signature of `signed`.
    #[must_use]
    pub fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, signed, signature).is_ok(),
            Material::Rsa(key) => key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok(),
            Material::Ed25519(key) => {
                signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, signature).is_ok()
            }
        }
    }
}

/// Where a key set comes from: a set that is fetched may hold no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of the operator.
    File,
    /// A server.
    Fetched,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    k: Option<String>,
}

/// The keys of a JSON Web Key Set. Keys for other purposes and of other kinds are passed over.
///
/// # Errors
/// It is none, or holds nothing of use, or a secret that is published.
pub fn jwks(text: &str, origin: Origin) -> Result<Vec<Key>, KeyError> {
    let set: Set = serde_json::from_str(text).map_err(|error| KeyError::Jwks(error.to_string()))?;
    let mut keys = Vec::new();
    for jwk in set.keys {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            continue;
        }
        if jwk.kty == "oct" && origin == Origin::Fetched {
            return Err(KeyError::PublishedSecret(jwk.kid.unwrap_or_default()));
        }
        let Some(key) = of_jwk(&jwk)? else { continue };
        if jwk.alg.as_deref().is_none_or(|alg| alg == key.algorithm().as_str()) {
            keys.push(key);
        }
    }
    if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(keys) }
}

fn of_jwk(jwk: &Jwk) -> Result<Option<Key>, KeyError> {
    let bytes = |field: &Option<String>| field.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let id = jwk.kid.clone();
    let material = match jwk.kty.as_str() {
        "RSA" => bytes(&jwk.n).zip(bytes(&jwk.e)).map(|(n, e)| Material::Rsa(rsa(n, e))),
        "OKP" if jwk.crv.as_deref() == Some("Ed25519") => {
            bytes(&jwk.x).filter(|x| x.len() == 32).map(Material::Ed25519)
        }
        "oct" => {
            let secret = bytes(&jwk.k).ok_or_else(|| KeyError::Jwks("an \"oct\" key has no \"k\"".to_owned()))?;
            return Key::secret(id, &secret).map(Some);
        }
        _ => return Ok(None),
    };
    let material = material.ok_or_else(|| KeyError::Jwks(format!("the {} key {id:?} is not complete", jwk.kty)))?;
    Ok(Some(Key { id, material }))
}

/// Numbers without the zeros in front that some encoders write.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> signature::RsaPublicKeyComponents<Vec<u8>> {
    let short = |number: Vec<u8>| number.into_iter().skip_while(|byte| *byte == 0).collect();
    signature::RsaPublicKeyComponents { n: short(n), e: short(e) }
}

fn pem_block(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    Some((label, STANDARD.decode(body).ok()?))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// The next DER value: its tag, its content, and what follows.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the next DER value, which has this tag, and what follows.
fn tagged(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    der(bytes).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

/// `SubjectPublicKeyInfo`.
fn spki(bytes: &[u8]) -> Option<Material> {
    let (info, _) = tagged(bytes, SEQUENCE)?;
    let (algorithm, rest) = tagged(info, SEQUENCE)?;
    let (name, _) = tagged(algorithm, OBJECT_ID)?;
    let (bits, _) = tagged(rest, BIT_STRING)?;
    let (&unused, key) = bits.split_first()?;
    match name {
        RSA_ENCRYPTION if unused == 0 => pkcs1(key),
        ED25519 if unused == 0 && key.len() == 32 => Some(Material::Ed25519(key.to_vec())),
        _ => None,
    }
}

/// `RSAPublicKey`.
fn pkcs1(bytes: &[u8]) -> Option<Material> {
    let (numbers, _) = tagged(bytes, SEQUENCE)?;
    let (n, rest) = tagged(numbers, INTEGER)?;
    let (e, _) = tagged(rest, INTEGER)?;
    Some(Material::Rsa(rsa(n.to_vec(), e.to_vec())))
}
