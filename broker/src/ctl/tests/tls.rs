//! Certificates and what is supported, as RabbitMQ 3.10.8 prints it.

use super::*;
use serde_json::json;

/// Runs a verb against a broker that answers with this JSON.
fn on(json: &serde_json::Value, words: &str) -> (Request, Outcome) {
    let words: Vec<&str> = words.split(' ').collect();
    ctl(&words, vec![Response::Text(json.to_string())])
}

fn listener(from: i64, until: i64) -> serde_json::Value {
    json!([{
        "node": "leveret@localhost", "protocol": "amqp/ssl", "interface": "127.0.0.1", "port": 5992,
        "purpose": "AMQP 0-9-1 over TLS", "certfile": "/tmp/server.pem", "cacertfile": "/tmp/ca.pem",
        "certificates": [{ "from": from, "until": until, "pem": "CERTIFICATE\n",
            "from_text": "2090-01-01T00:00:00Z", "until_text": "2026-12-11T05:19:15Z" }],
        "authorities": [],
    }])
}

/// Recorded.
#[test]
fn certificates_that_expire_fail_the_check() {
    let none = on(&json!([]), "-q check_certificate_expiration").1;
    assert_eq!(
        none,
        outcome(0, "No certificates are expiring within 4 weeks.\n", "")
    );
    let words = "-q check_certificate_expiration --unit Months --within 1";
    let valid = on(&listener(0, i64::MAX), words).1;
    assert_eq!(
        valid,
        outcome(0, "No certificates are expiring within 1 Month.\n", "")
    );
    let (request, shown) = on(&listener(0, 1), "check_certificate_expiration");
    assert_eq!(request, Request::ListCertificates);
    let banner = "Checking certificate expiration on node leveret@localhost ...\n";
    let wanted = "%{cacertfile: \"/tmp/ca.pem\", cacertfile_expires_on: [], certfile: \"/tmp/server.pem\", \
                  certfile_expires_on: [\"2026-12-11 05:19:15\"], interface: \"127.0.0.1\", node: \
                  :leveret@localhost, port: 5992, protocol: :\"amqp/ssl\", purpose: \"AMQP 0-9-1 over TLS\"}\n";
    assert_eq!(shown, outcome(69, banner, wanted));
    let (_, shown) = on(
        &listener(0, 1),
        "check_certificate_expiration --formatter json",
    );
    assert_eq!(shown.status, 69);
    let json: serde_json::Value =
        serde_json::from_str(&format!("{}{}", shown.out, shown.err)).unwrap();
    assert_eq!(json["result"], "error");
    let expired = &json["expired"][0];
    assert_eq!(
        expired["certfile_expires_on"],
        json!(["2026-12-11 05:19:15"])
    );
    assert!(expired.get("certificates").is_none());
    let (_, shown) = on(
        &listener(i64::MAX, i64::MAX),
        "-q check_certificate_expiration",
    );
    assert!(
        shown
            .err
            .contains("Certificate is not yet valid. It starts on 2090-01-01 00:00:00")
    );
    let shown = alone(&["check_certificate_expiration", "--unit", "x"]);
    assert_eq!(shown.status, 64);
    let wanted = "\"unit 'x' is not supported. Please use one of: days, weeks, months, years\"";
    assert!(shown.err.contains(wanted), "{}", shown.err);
}

/// Recorded.
#[test]
fn suites_and_versions_are_listed_in_rabbitmqs_formats() {
    let (request, shown) = on(&json!(["tlsv1.3", "tlsv1.2"]), "tls_versions");
    assert_eq!(request, Request::ListTlsVersions);
    let wanted = "Listing all TLS versions supported by the runtime...\ntlsv1.3\ntlsv1.2\n";
    assert_eq!(shown, outcome(0, wanted, ""));
    let json = on(&json!(["tlsv1.3"]), "tls_versions --formatter json").1;
    assert_eq!(json.out, "{\"versions\":[\"tlsv1.3\"]}\n");
    let suites = json!([
        { "openssl": "TLS_AES_256_GCM_SHA384", "key_exchange": "any", "cipher": "aes_256_gcm", "mac": "aead", "prf": "sha384" },
        { "openssl": "TLS_AES_128_GCM_SHA256", "key_exchange": "any", "cipher": "aes_128_gcm", "mac": "aead", "prf": "sha256" },
    ]);
    let (request, shown) = on(&suites, "cipher_suites");
    assert_eq!(request, Request::ListCipherSuites);
    let wanted = "Listing available cipher suites in OpenSSL format\nTLS_AES_256_GCM_SHA384\nTLS_AES_128_GCM_SHA256\n";
    assert_eq!(shown, outcome(0, wanted, ""));
    let shown = on(&suites, "-q cipher_suites --format erlang --all").1;
    let wanted = "[\n{any,aes_256_gcm,aead,sha384}\n,{any,aes_128_gcm,aead,sha256}\n]\n";
    assert_eq!(shown, outcome(0, wanted, ""));
    let shown = on(&suites, "-q cipher_suites --format map").1;
    let wanted = "[\n#{cipher => aes_256_gcm,key_exchange => any,mac => aead,prf => sha384}\n\
                  ,#{cipher => aes_128_gcm,key_exchange => any,mac => aead,prf => sha256}\n]\n";
    assert_eq!(shown, outcome(0, wanted, ""));
    let wrong = alone(&["cipher_suites", "--format", "x"]);
    assert_eq!(wrong.status, 65);
    assert!(
        wrong
            .err
            .contains("Format should be either openssl, erlang or map"),
        "{}",
        wrong.err
    );
}

#[test]
fn certificates_are_shown_without_anything_else_that_is_in_their_files() {
    let (_, shown) = on(&listener(0, 1), "-q certificates");
    let wanted = "Interface: 127.0.0.1, port: 5992, protocol: amqp/ssl\n\nCERTIFICATE\n";
    assert_eq!(shown, outcome(0, wanted, ""));
    let none = on(&json!([]), "-q certificates").1;
    assert_eq!(
        none,
        outcome(0, "There is no listener with TLS: see tls_certfile\n", "")
    );
}

#[test]
fn certificates_are_read_again() {
    let (request, shown) = ctl(&["reload_tls"], vec![Response::Ok]);
    assert_eq!(request, Request::ReloadTls);
    let banner = "Reading the certificates of node leveret@localhost again ...\n";
    assert_eq!(shown, outcome(0, banner, ""));
}
