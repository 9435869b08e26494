//! What is signed: tokens, keys, webhooks, links.
//!
//! Owns: that nothing is taken but what was signed here, byte for byte in what it says. Refuses to know: what a caller may.
//!
//! The signing keys are in this file, so inputs are signed things and changes of them; a change that is taken and says
//! something else than what was signed is a forgery.

use std::{collections::BTreeSet, sync::LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightshift_api::{
    LinkKey,
    auth::{Caller, Key, Origin, Role, Rules, TokenFault, jwt, keys},
    fuzz, links,
};
use nightshift_domain::{
    content::Digest,
    ids::derive,
    run::{ApprovalAction, ApprovalId},
    time::Timestamp,
};
use ring::hmac;
use serde_json::{Value, json};

use super::{file, headed, owned, with_head};
use crate::{Target, trees::Form};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub const TOKEN: Target = Target {
    name: "token",
    about: "a JWT is taken only when it is, byte for byte, one that was signed; the claims are then those that were signed",
    form: Form::Plain,
    seeds: || TOKENS.iter().map(|token| token.as_bytes().to_vec()).collect(),
    words: || {
        let mut words = owned(&[".", "..", "=", "eyJ", "e30", "AAAA", "\u{0}", " "]);
        let headers = [
            json!({"alg": "none"}),
            json!({"alg": "HS256", "kid": "x"}),
            json!({"alg": "RS256"}),
            json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
            json!({"sub": "eve", "exp": 1e300}),
            json!({"alg": "hs256"}),
        ];
        words.extend(headers.iter().map(|header| URL_SAFE_NO_PAD.encode(header.to_string())));
        words
    },
    frame: None,
    bytes_max: 10 << 10,
    short: 3_000,
    run: token,
};

pub const KEYS: Target = Target {
    name: "keys",
    about: "a key set or a PEM text gives keys or says why not; no public key becomes a secret",
    form: Form::Json,
    seeds: || {
        let vectors = vectors();
        let jwk = json!({"keys": [vectors["rsa_jwk"], {"kty": "oct", "k": "AAAA", "alg": "HS256"}, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]});
        let pems = ["rsa_pem", "rsa_pkcs1_pem", "ed25519_pem"]
            .map(|name| vectors[name].as_str().unwrap_or_default().as_bytes().to_vec());
        [jwk.to_string().into_bytes()].into_iter().chain(pems).collect()
    },
    words: || {
        owned(&[
            "keys",
            "kty",
            "RSA",
            "OKP",
            "oct",
            "n",
            "e",
            "x",
            "k",
            "alg",
            "use",
            "sig",
            "enc",
            "kid",
            "AQAB",
            "-----BEGIN ",
            "-----END ",
            "PUBLIC KEY",
            "-----",
            "PRIVATE",
        ])
    },
    frame: None,
    bytes_max: 16 << 10,
    short: 1_500,
    run: keys_of,
};

pub const HOOK: Target = Target {
    name: "hook",
    about: "a webhook is taken only with the id, the instant and the body that were signed",
    form: Form::Plain,
    seeds: || {
        let signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let hook = |signature: &str| format!("{HOOK_ID}\n{HOOK_AT}\n{signature}\n{HOOK_BODY}").into_bytes();
        vec![hook(signed), hook(&format!("v1a,AAAA v1,AAAA {signed}")), hook("v1,"), b"\n\n\n".to_vec()]
    },
    words: || {
        owned(&[
            "v1,",
            " ",
            "\n",
            "v1a,",
            ".",
            "1614265330",
            "01614265330",
            "+1614265330",
            "msg_",
            "=",
            "{}",
            "9223372036854775807",
            "-1",
        ])
    },
    frame: None,
    bytes_max: 4 << 10,
    short: 3_000,
    run: hook,
};

pub const LINK: Target = Target {
    name: "link",
    about: "a signed link is taken only for what was signed; its page holds the question as text",
    form: Form::Plain,
    seeds: || MADE.iter().map(|link| key().address(link).into_bytes()).collect(),
    words: || {
        owned(&[
            "/approve/",
            "?",
            "&",
            "action=",
            "abort",
            "continue",
            "retry",
            "digest=",
            "by=",
            "Eve",
            "expires=",
            "signature=",
            "A",
            "%",
            "%26",
            "+",
            "=",
        ])
    },
    frame: None,
    bytes_max: 4 << 10,
    short: 3_000,
    run: link,
};

pub const STREAM_TOKEN: Target = Target {
    name: "stream-token",
    about: "the token of a stream is taken only for the run, the user and the time it was made for",
    form: Form::Plain,
    seeds: || {
        let made = made_streams();
        let other = with_head(&made[0].0, made[1].1.as_bytes());
        made.iter().map(|(path, token)| with_head(path, token.as_bytes())).chain([other]).collect()
    },
    words: || owned(&["/api/orchestrations/runs/", "/events", ".", "\n", "eyJ", "AAAA", "=", "1", "e30", "WzEs"]),
    frame: None,
    bytes_max: 4 << 10,
    short: 3_000,
    run: stream_token,
};

fn vectors() -> Value {
    serde_json::from_slice(&file("crates/api/tests/vectors/jwt.json")).expect("JSON")
}

fn hs256(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let vectors = vectors();
    let mut tokens: Vec<String> = ["rsa_token", "small_token", "ed25519_token"]
        .iter()
        .filter_map(|name| vectors[name].as_str().map(str::to_owned))
        .collect();
    let claims = [
        json!({"sub": "ada", "exp": 1_800_000_600, "roles": ["reviewer", "nobody"], "groups": "finance legal"}),
        json!({"sub": "bob", "exp": 1_800_000_600.5, "nbf": 1, "aud": ["x"], "realm_access": {"roles": ["admin"]}}),
        json!({"sub": "", "exp": 1_800_000_600}),
        json!({"sub": "x", "exp": "soon"}),
        json!([1]),
        json!({"sub": "ada", "exp": 1}),
    ];
    tokens.extend(claims.iter().map(|claims| hs256(&json!({"alg": "HS256"}), claims)));
    tokens.push(hs256(&json!({"alg": "none"}), &claims[0]));
    tokens
});

fn token(input: &[u8]) -> String {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let vectors = vectors();
        let secret = Key::secret(None, SECRET).expect("a secret");
        let pems = ["rsa_pem", "ed25519_pem"].iter().filter_map(|name| Key::pem(None, vectors[name].as_str()?).ok());
        [secret].into_iter().chain(pems).collect()
    });
    let text = String::from_utf8_lossy(input);
    match jwt::verify(&text, KEYS.iter(), &Rules::default(), NOW) {
        Ok(claims) => {
            assert!(TOKENS.iter().any(|signed| *signed == text), "a token that was not signed is taken: {claims:?}");
            claims.subject
        }
        Err(TokenFault::NoKey { alg, kid }) => format!("no key {} {}", alg.len().min(9), kid.is_some()),
        Err(fault) => fault.to_string(),
    }
}

fn keys_of(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let set = keys::jwks(&text, Origin::File);
    let pem = Key::pem(None, &text);
    if pem.is_ok() {
        assert!(Key::secret(None, text.as_bytes()).is_err(), "a public key is taken as a secret");
    }
    let set = set.map(|keys| format!("{:?}", keys.iter().map(Key::algorithm).collect::<Vec<_>>()));
    let pem = pem.map(|key| key.algorithm().as_str().to_owned());
    format!("{} {}", set.unwrap_or_else(|error| error.to_string()), pem.unwrap_or_else(|error| error.to_string()))
}

/// The example of the Standard Webhooks specification.
const HOOK_SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HOOK_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const HOOK_AT: &str = "1614265330";
const HOOK_BODY: &str = r#"{"test": 2432232314}"#;

fn hook(input: &[u8]) -> String {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let Ok(value) = HeaderValue::from_bytes(parts.next().unwrap_or_default()) else {
            return "no header".to_owned();
        };
        headers.insert(HeaderName::from_static(name), value);
    }
    let body = parts.next().unwrap_or_default();
    match fuzz::hook(HOOK_SECRET, &headers, body, Timestamp::from_secs(1_614_265_330)) {
        Ok(true) => {
            let header = |name: &str| headers[name].to_str().unwrap_or_default().trim().to_owned();
            let said = (header("webhook-id"), header("webhook-timestamp"));
            assert_eq!(
                (said.0.as_str(), said.1.as_str(), body),
                (HOOK_ID, HOOK_AT, HOOK_BODY.as_bytes()),
                "a forgery is taken"
            );
            "taken".to_owned()
        }
        Ok(false) => "not signed".to_owned(),
        Err(error) => error.message,
    }
}

fn key() -> LinkKey {
    LinkKey::new(&[7; 32]).expect("a key")
}

static MADE: LazyLock<Vec<links::Link>> = LazyLock::new(|| {
    let link = |n: u8, action, by: &str, expires_s| links::Link {
        approval: ApprovalId(derive("approval", &[&[n]])),
        action,
        digest: Digest("abc".to_owned()),
        by: by.to_owned(),
        expires_s,
    };
    vec![
        link(1, ApprovalAction::Continue, "Ada & Bob <ada@example.org>", 1_800_000_060),
        link(1, ApprovalAction::Abort, "é", 1_900_000_000),
        link(2, ApprovalAction::Retry, "", 1),
        link(3, ApprovalAction::Continue, "x", i64::MAX),
    ]
});

fn link(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let row = json!({"question": text, "status": "pending", "payload_digest": "abc", "payload": {"a": text}});
    let page = fuzz::page(&MADE[0], row.as_object().expect("an object"));
    let tags: BTreeSet<&str> = page.split('<').skip(1).filter_map(|rest| rest.split(['>', ' ']).next()).collect();
    let known = [
        "h1",
        "/h1",
        "pre",
        "/pre",
        "form",
        "/form",
        "p",
        "/p",
        "label",
        "/label",
        "br",
        "textarea",
        "/textarea",
        "button",
        "/button",
    ];
    assert!(tags.iter().all(|tag| known.contains(tag)), "what stands in a question becomes {tags:?}");
    match fuzz::link(&key(), &text, NOW) {
        Ok(Some(link)) => {
            assert!(MADE.contains(&link), "a link that was not made is taken: {link:?}");
            format!("taken {}", link.action.as_str())
        }
        Ok(None) => "no link".to_owned(),
        Err(error) => error.message,
    }
}

fn made_streams() -> Vec<(String, String)> {
    let made = |n: u8, user: &str, role, before_s: i64| {
        let roles = BTreeSet::from([role]);
        let caller =
            Caller { user: user.to_owned(), roles, scopes: None, groups: BTreeSet::new(), via: "token".to_owned() };
        let run = derive("run", &[&[n]]);
        let at = Timestamp::from_secs(1_800_000_000 - before_s);
        let token = fuzz::stream_token(SECRET, &caller, run, at).expect("a token");
        (format!("/api/orchestrations/runs/{run}/events"), token)
    };
    vec![
        made(1, "ada", Role::Reader, 0),
        made(2, "bob", Role::Admin, 0),
        made(1, "é\"", Role::Reader, 0),
        made(1, "ada", Role::Reader, 900),
    ]
}

fn stream_token(input: &[u8]) -> String {
    static STREAMS: LazyLock<Vec<(String, String)>> = LazyLock::new(made_streams);
    let (path, rest) = headed(input);
    let token = String::from_utf8_lossy(rest);
    match fuzz::stream_caller(SECRET, (&path, &token), NOW) {
        Ok(caller) => {
            let known = STREAMS.iter().any(|(of, signed)| {
                *signed == token && path.split('/').any(|part| of.contains(part) && part.len() > 30)
            });
            assert!(known, "a token that was not made for {path} is taken: {caller:?}");
            caller.user
        }
        Err(error) => error.message,
    }
}
