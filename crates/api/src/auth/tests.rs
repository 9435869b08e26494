//! Tokens, keys and the ways of proof.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use axum::http::HeaderValue;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::FutureExt as _;
use nightshift_ports::clock::ManualClock;
use ring::{hmac, signature::Ed25519KeyPair, signature::KeyPair as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(NOW))
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/jwt.json")).unwrap()
}

fn vector(name: &str) -> String {
    vectors()[name].as_str().unwrap().to_owned()
}

fn jws(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |text| hmac::sign(&key, text).as_ref().to_vec()
}

fn hs_token(claims: &Value) -> String {
    jws(&json!({"alg": "HS256"}), claims, hs256(SECRET))
}

fn good() -> Value {
    json!({"sub": "ada", "exp": 1_800_000_600, "roles": ["reviewer", "nobody"], "groups": "finance legal"})
}

fn secret() -> Key {
    Key::secret(None, SECRET).unwrap()
}

fn judge(token: &str, key: Key, rules: &Rules) -> Result<Claims, TokenFault> {
    jwt::verify(token, [&key], rules, NOW)
}

#[test]
fn tokens_of_another_library_are_verified_by_keys_in_each_form() {
    let all = vectors();
    let set = |jwk: &str| json!({"keys": [{"kty": "EC", "kid": "x"}, all[jwk]]}).to_string();
    let of_set = |jwk: &str| keys::jwks(&set(jwk), Origin::Fetched).unwrap().remove(0);
    for (key, token, algorithm) in [
        (Key::pem(None, &vector("rsa_pem")).unwrap(), "rsa_token", Algorithm::Rs256),
        (Key::pem(None, &vector("rsa_pkcs1_pem")).unwrap(), "rsa_token", Algorithm::Rs256),
        (of_set("rsa_jwk"), "rsa_token", Algorithm::Rs256),
        (Key::pem(None, &vector("ed25519_pem")).unwrap(), "ed25519_token", Algorithm::EdDsa),
        (of_set("ed25519_jwk"), "ed25519_token", Algorithm::EdDsa),
    ] {
        assert_eq!(key.algorithm(), algorithm);
        let claims = judge(&vector(token), key, &Rules::default()).unwrap();
        assert_eq!((claims.subject.as_str(), claims.roles), ("ada", BTreeSet::from([Role::Operator])));
    }
    let short = of_set("small_jwk");
    assert_eq!(judge(&vector("small_token"), short, &Rules::default()), Err(TokenFault::Signature), "1024 bits");
}

#[test]
fn a_public_key_is_no_secret_and_none_is_no_algorithm() {
    let pem = vector("rsa_pem");
    let confused = jws(&json!({"alg": "HS256"}), &good(), hs256(pem.as_bytes()));
    let key = || Key::pem(None, &pem).unwrap();
    let no_key = |alg: &str| Err(TokenFault::NoKey { alg: alg.to_owned(), kid: None });
    assert_eq!(judge(&confused, key(), &Rules::default()), no_key("HS256"));
    assert!(matches!(Key::secret(None, pem.as_bytes()), Err(KeyError::PemAsSecret)));
    for alg in ["none", "None", "NONE", "", "hs256", "HS384", "RS512", "ES256"] {
        for sign in [|_: &[u8]| Vec::new(), |text: &[u8]| hs256(SECRET)(text)] {
            let token = jws(&json!({"alg": alg}), &good(), sign);
            assert_eq!(judge(&token, secret(), &Rules::default()), no_key(alg), "{alg}");
            assert_eq!(judge(&token, key(), &Rules::default()), no_key(alg), "{alg}");
        }
    }
    let published = json!({"keys": [{"kty": "oct", "kid": "s", "k": URL_SAFE_NO_PAD.encode(SECRET)}]}).to_string();
    assert!(matches!(keys::jwks(&published, Origin::Fetched), Err(KeyError::PublishedSecret(_))));
    assert_eq!(keys::jwks(&published, Origin::File).unwrap()[0].algorithm(), Algorithm::Hs256);
    let lying = json!({"keys": [{"kty": "oct", "alg": "RS256", "k": URL_SAFE_NO_PAD.encode(SECRET)}]}).to_string();
    assert!(matches!(keys::jwks(&lying, Origin::File), Err(KeyError::NoKey)), "a key that says it is another");
    assert!(matches!(Key::secret(None, b"short"), Err(KeyError::ShortSecret(5))));
}

#[test]
fn what_was_changed_is_not_what_was_signed() {
    let token = hs_token(&good());
    assert!(judge(&token, secret(), &Rules::default()).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(json!({"sub": "eve", "exp": 4_102_444_800_u64}).to_string());
    let changed = [
        (format!("{}.{other}.{}", parts[0], parts[2]), TokenFault::Signature),
        (format!("{}.{}.", parts[0], parts[1]), TokenFault::Signature),
        (format!("{}.{}", parts[0], parts[1]), TokenFault::Malformed),
        (format!("{token}="), TokenFault::Malformed),
        (String::new(), TokenFault::Malformed),
        ("a.b.c".to_owned(), TokenFault::Malformed),
        (format!("{token}.{}", "x".repeat(9_000)), TokenFault::Malformed),
        (jws(&json!({"alg": "HS256", "crit": ["exp"]}), &good(), hs256(SECRET)), TokenFault::Critical),
        (jws(&json!({"alg": "HS256"}), &json!([]), hs256(SECRET)), TokenFault::Malformed),
    ];
    for (token, expected) in changed {
        assert_eq!(judge(&token, secret(), &Rules::default()), Err(expected), "{token}");
    }
    let named = |kid: &str| jws(&json!({"alg": "HS256", "kid": kid}), &good(), hs256(SECRET));
    let key = || Key::secret(Some("a".to_owned()), SECRET).unwrap();
    assert!(judge(&named("a"), key(), &Rules::default()).is_ok());
    assert!(matches!(judge(&named("b"), key(), &Rules::default()), Err(TokenFault::NoKey { .. })));
    assert!(judge(&named("b"), secret(), &Rules::default()).is_ok(), "a key without an id answers to any");
}

#[test]
fn each_claim_is_held_against_the_rules() {
    let strict = Rules {
        issuer: Some("https://id.example".to_owned()),
        audience: vec!["nightshift".to_owned(), "ns".to_owned()],
        leeway_s: 30,
        ..Rules::default()
    };
    let base = json!({"iss": "https://id.example", "aud": "nightshift", "sub": "ada", "exp": 1_800_000_600});
    let cases: &[(&str, Value, Option<&str>)] = &[
        ("sub", json!("ada"), None),
        ("exp", json!(1_799_999_971), None),
        ("exp", json!(1_799_999_970), Some("exp")),
        ("exp", json!("4102444800"), Some("exp")),
        ("exp", Value::Null, Some("exp")),
        ("nbf", json!(1_800_000_030), None),
        ("nbf", json!(1_800_000_031), Some("nbf")),
        ("nbf", json!("soon"), Some("nbf")),
        ("aud", json!(["other", "ns"]), None),
        ("aud", json!(["other"]), Some("aud")),
        ("aud", json!("nightshift.evil"), Some("aud")),
        ("aud", Value::Null, Some("aud")),
        ("iss", json!("https://id.example/"), Some("iss")),
        ("iss", Value::Null, Some("iss")),
        ("sub", json!(""), Some("sub")),
        ("sub", json!(7), Some("sub")),
    ];
    for (claim, value, refused) in cases {
        let mut claims = base.clone();
        claims[claim] = value.clone();
        let judged = judge(&hs_token(&claims), secret(), &strict);
        let found = match &judged {
            Ok(_) => None,
            Err(TokenFault::Claim { claim, .. }) => Some(*claim),
            Err(other) => panic!("{claim} = {value}: {other}"),
        };
        assert_eq!(found, *refused, "{claim} = {value}");
    }
    let mut without = good();
    without.as_object_mut().unwrap().remove("exp");
    assert!(judge(&hs_token(&without), secret(), &Rules::default()).is_err(), "a token without an end");
}

#[test]
fn roles_come_from_the_claim_that_is_configured() {
    let claims = judge(&hs_token(&good()), secret(), &Rules::default()).unwrap();
    assert_eq!(claims.roles, BTreeSet::from([Role::Reviewer]), "an unknown word is no role");
    assert_eq!(claims.groups, BTreeSet::from(["finance".to_owned(), "legal".to_owned()]));
    let nested = Rules { roles_claim: "realm_access.roles".to_owned(), ..Rules::default() };
    let token = |claim: Value| hs_token(&json!({"sub": "a", "exp": 1_900_000_000, "realm_access": claim}));
    for (claim, expected) in [
        (json!({"roles": ["admin"]}), BTreeSet::from([Role::Admin])),
        (json!({"roles": "agent reader"}), BTreeSet::from([Role::Agent, Role::Reader])),
        (json!({"roles": ["other"]}), BTreeSet::new()),
        (json!({"roles": 7}), BTreeSet::new()),
        (json!({}), BTreeSet::from([Role::Reader])),
    ] {
        assert_eq!(judge(&token(claim.clone()), secret(), &nested).unwrap().roles, expected, "{claim}");
    }
}

/// A published set that changes, and how often it was asked for.
struct Published {
    text: Mutex<Result<String, String>>,
    asked: AtomicU32,
    /// Answers take a permit each.
    answers: Semaphore,
}

#[async_trait]
impl KeySource for Published {
    async fn fetch(&self) -> Result<String, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.text.lock().unwrap().clone()
    }
}

fn published(answers: usize) -> (Arc<Published>, Tokens, ManualClock, Arc<dyn Clock>) {
    let text = Mutex::new(Err("refused".to_owned()));
    let source = Arc::new(Published { text, asked: AtomicU32::new(0), answers: Semaphore::new(answers) });
    let tokens = Tokens::of_keys(Rules::default(), vec![secret()]).and_published(source.clone());
    let clock = ManualClock::at(NOW);
    (source, tokens, clock.clone(), Arc::new(clock))
}

fn ed_set(seed: u8, kid: &str) -> (String, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}]}).to_string();
    let claims = json!({"sub": kid, "exp": 1_900_000_000});
    (set, jws(&json!({"alg": "EdDSA", "kid": kid}), &claims, |text| pair.sign(text).as_ref().to_vec()))
}

#[tokio::test]
async fn a_published_set_is_asked_again_for_an_unknown_key_but_not_by_every_token() {
    let ((first, one), (second, two)) = (ed_set(1, "one"), ed_set(2, "two"));
    let (source, tokens, at, clock) = published(100);
    let asked = || source.asked.load(Ordering::SeqCst);
    let verify = async |token: &str| tokens.verify(token, &clock).await.map(|claims| claims.subject);
    assert!(verify(&hs_token(&good())).await.is_ok(), "a fixed key needs no set");
    assert_eq!(asked(), 0);
    assert_eq!(verify(&one).await.unwrap_err().code, Code::Unavailable);
    at.advance_ms(9_999);
    assert_eq!(verify(&one).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(asked(), 1, "a source that fails is left alone for a while");
    *source.text.lock().unwrap() = Ok(first);
    at.advance_ms(1);
    assert_eq!(verify(&one).await.unwrap(), "one");
    assert_eq!(verify(&two).await.unwrap_err().code, Code::Unauthorized);
    assert_eq!(asked(), 2);
    *source.text.lock().unwrap() = Ok(second);
    at.advance_ms(10_000);
    assert_eq!(verify(&two).await.unwrap(), "two");
    assert_eq!(asked(), 3);
    *source.text.lock().unwrap() = Err("gone".to_owned());
    at.advance_ms(2_000_000);
    assert!(verify(&two).await.is_ok(), "old keys go on when the source is gone");
    tokens.fetched.as_ref().unwrap().answered().await;
    assert_eq!(asked(), 4);
}

/// An identity provider that does not answer holds up nobody whose key is known.
#[tokio::test]
async fn known_keys_judge_at_once_while_the_set_is_fetched_again() {
    let ((first, one), (_, two)) = (ed_set(1, "one"), ed_set(2, "two"));
    let (source, tokens, at, clock) = published(1);
    let asked = || source.asked.load(Ordering::SeqCst);
    let at_once = |token: &str| tokens.verify(token, &clock).now_or_never().map(|judged| judged.map(|it| it.subject));
    *source.text.lock().unwrap() = Ok(first);
    assert_eq!(tokens.verify(&one, &clock).await.unwrap().subject, "one");
    // Stale, and nothing comes any more.
    at.advance_ms(601_000);
    for _ in 0..3 {
        assert_eq!(at_once(&one).expect("it does not wait").unwrap(), "one");
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(), 2, "one asks");
    assert!(at_once(&two).is_none(), "what no key at hand can judge waits");
    at.advance_ms(30_000);
    *source.text.lock().unwrap() = Err("timed out".to_owned());
    source.answers.add_permits(1);
    tokens.fetched.as_ref().unwrap().answered().await;
    at.advance_ms(9_999);
    assert_eq!(at_once(&one).expect("it does not wait").unwrap(), "one");
    assert_eq!(at_once(&two).expect("nothing is asked for now").unwrap_err().code, Code::Unauthorized);
    tokio::task::yield_now().await;
    assert_eq!(asked(), 2, "the pause is counted from the end");
    at.advance_ms(1);
    assert_eq!(at_once(&one).expect("it does not wait").unwrap(), "one");
    tokio::task::yield_now().await;
    assert_eq!(asked(), 3);
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

fn peer(remote: &str, local: &str) -> Peer {
    Peer { remote: remote.parse().unwrap(), local: local.parse().ok() }
}

#[tokio::test]
async fn without_configuration_only_the_control_token_from_this_machine_is_a_proof() {
    let auth = Auth::default();
    let here = peer("127.0.0.1", "127.0.0.1");
    let ask = async |pairs: &[(&'static str, &str)], peer| {
        authenticate(&auth, "control", (&headers(pairs), peer), &clock()).await.map_err(|error| error.code)
    };
    let proof = [("authorization", "Bearer control")];
    let caller = ask(&proof, here).await.unwrap();
    assert_eq!((caller.user.as_str(), caller.may(Group::Control)), ("local", true));
    assert!(ask(&[("authorization", "bearer  control ")], here).await.is_ok());
    assert!(ask(&proof, peer("192.0.2.7", "192.0.2.7")).await.is_ok(), "the own address of this machine");
    assert!(ask(&proof, peer("::ffff:127.0.0.1", "")).await.is_ok());
    assert_eq!(ask(&proof, peer("192.0.2.8", "192.0.2.7")).await, Err(Code::Forbidden));
    for wrong in ["Bearer", "Bearer ", "Bearer contro", "Bearer control2", "Basic control", "control"] {
        assert_eq!(ask(&[("authorization", wrong)], here).await, Err(Code::Unauthorized), "{wrong}");
    }
    assert_eq!(ask(&[], here).await, Err(Code::Unauthorized));
    assert_eq!(ask(&[], peer("192.0.2.8", "192.0.2.7")).await, Err(Code::Forbidden), "no proof would help");
    assert_eq!(ask(&[("x-api-key", "control")], here).await, Err(Code::Unauthorized));
    let empty = authenticate(&auth, "", (&headers(&[("authorization", "Bearer ")]), here), &clock()).await;
    assert_eq!(empty.unwrap_err().code, Code::Unauthorized, "no token is not an empty token");
}

#[tokio::test]
async fn with_configuration_tokens_and_keys_are_taken_from_anywhere() {
    let key = ApiKey {
        name: "ci".to_owned(),
        user: "build".to_owned(),
        roles: BTreeSet::from([Role::Agent]),
        scopes: Some(BTreeSet::from([Group::Start])),
        groups: BTreeSet::new(),
        hash: api_key::hash_of("ns_secret"),
        rate: Rate { requests: 4, window_ms: 1_000 },
    };
    let tokens = Tokens::of_keys(Rules::default(), vec![secret()]);
    let auth = Auth { tokens: Some(tokens), keys: Some(ApiKeys::new(vec![key])), open_metrics: false };
    let away = peer("192.0.2.8", "192.0.2.7");
    let ask = async |pairs: &[(&'static str, &str)]| {
        authenticate(&auth, "control", (&headers(pairs), away), &clock()).await.map_err(|error| error.code)
    };
    let bearer = format!("Bearer {}", hs_token(&good()));
    assert_eq!(ask(&[("authorization", &bearer)]).await.unwrap().user, "ada");
    for pair in [("x-agent-api-key", "ns_secret"), ("x-api-key", "ns_secret"), ("authorization", "Bearer ns_secret")] {
        let caller = ask(&[pair]).await.unwrap();
        assert_eq!((caller.user.as_str(), caller.via.as_str()), ("build", "key:ci"));
        assert!(caller.may(Group::Start) && !caller.may(Group::Read), "held to its scopes");
    }
    assert_eq!(ask(&[("x-api-key", "ns_other")]).await, Err(Code::Unauthorized));
    assert!(ask(&[("x-api-key", "ns_secret")]).await.is_ok());
    assert_eq!(ask(&[("x-api-key", "ns_secret")]).await, Err(Code::RateLimited));
    assert_eq!(ask(&[("authorization", "Bearer control")]).await, Err(Code::Forbidden), "from another machine");
    let caller = ask(&[("authorization", &bearer)]).await.unwrap();
    assert_eq!(caller.on_behalf_of(Some("eve")).unwrap_err().code, Code::Forbidden);
    assert_eq!(caller.on_behalf_of(Some("ada")).unwrap().0, "ada");
    assert_eq!(caller.on_behalf_of(None).unwrap().0, "ada");
}
