//! Tests of the settings about users and logins.

use super::load::unknown;
use super::tests::{file, load, refused};
use super::{AuthBackend, PasswordHashing};

#[test]
fn variables_of_rabbitmq_are_below_ours_and_above_the_file() {
    let (_folder, path) = file("default_user = 'file'\ndefault_pass = 'file'\nport = 1");
    let rabbitmq = [
        ("RABBITMQ_DEFAULT_USER", "rabbit"),
        ("RABBITMQ_DEFAULT_PASS", "burrow"),
        ("RABBITMQ_DEFAULT_VHOST", "meadow"),
        ("RABBITMQ_NODE_PORT", "5673"),
    ];
    let config = load(&["--config", &path], &rabbitmq).unwrap();
    assert_eq!((&*config.default_user, config.port), ("rabbit", 5673));
    assert_eq!(
        (config.default_pass.expose(), &*config.default_vhost),
        ("burrow", "meadow")
    );
    let taken: Vec<_> = config
        .rabbitmq_variables
        .iter()
        .map(|taken| taken.0)
        .collect();
    assert_eq!(taken, rabbitmq.map(|(name, _)| name));
    let ours = [("LEVERET_DEFAULT_PASS", "form"), ("LEVERET_PORT", "5674")];
    let both: Vec<_> = rabbitmq.into_iter().chain(ours).collect();
    let config = load(&["--config", &path, "--default-user=hare"], &both).unwrap();
    assert_eq!((&*config.default_user, config.port), ("hare", 5674));
    assert_eq!(config.default_pass.expose(), "form");
    assert_eq!(
        config.rabbitmq_variables,
        [("RABBITMQ_DEFAULT_VHOST", "default_vhost")]
    );
    let wrong = refused(&[], &[("RABBITMQ_NODE_PORT", "amqp")]);
    assert_eq!(
        wrong,
        "environment variable RABBITMQ_NODE_PORT: 'amqp' is not a port: use a whole number from 0 to 65535"
    );
    let twice = [
        ("RABBITMQ_DEFAULT_PASS", "x"),
        ("RABBITMQ_DEFAULT_PASS_FILE", "/x"),
    ];
    assert!(refused(&[], &twice).contains("use one of the two"));
}

#[test]
fn the_addresses_of_kubernetes_services_are_no_ports() {
    let services = [
        ("LEVERET_MANAGEMENT_PORT", "tcp://10.3.2.1:15672"),
        ("LEVERET_PORT", "tcp://10.3.2.1:5672"),
        ("LEVERET_PROMETHEUS_PORT", "udp://10.3.2.1:15692"),
        ("LEVERET_TLS_PORT", "tcp://10.3.2.1:5671"),
        ("RABBITMQ_NODE_PORT", "tcp://10.3.2.1:5672"),
    ];
    let config = load(&[], &services).unwrap();
    assert_eq!(config.port, 5672);
    assert_eq!(
        (config.management_port, config.prometheus_port),
        (None, None)
    );
    assert!(config.rabbitmq_variables.is_empty());
    let ports = [("LEVERET_TLS_PORT", "5671"), ("RABBITMQ_NODE_PORT", "5673")];
    let all = services.into_iter().chain(ports);
    let unknown = unknown(all.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(unknown, services.map(|(name, _)| name));
    let wrong = refused(&[], &[("LEVERET_PORT", "10.3.2.1:5672")]);
    assert!(wrong.contains("LEVERET_PORT: invalid value"), "{wrong}");
    let wrong = refused(&[], &[("LEVERET_FRAME_MAX", "tcp://10.3.2.1:1")]);
    assert!(wrong.contains("LEVERET_FRAME_MAX"), "{wrong}");
}

#[test]
fn a_password_file_of_a_higher_layer_wins_over_a_password_below() {
    let (folder, path) = file("default_pass = 'below'");
    let password = folder.path().join("pass");
    std::fs::write(&password, "above\n").unwrap();
    let flag = format!("--default-pass-file={}", password.display());
    for (flags, wanted) in [
        (&["--config", &path][..], "below"),
        (&["--config", &path, &flag], "above"),
    ] {
        let config = load(flags, &[]).unwrap();
        assert_eq!(config.default_pass.expose(), wanted);
    }
    let variable = [("LEVERET_DEFAULT_PASS", "variable")];
    let config = load(&["--config", &path], &variable).unwrap();
    assert_eq!(config.default_pass.expose(), "variable");
    let (_folder, both) = file("default_pass = 'x'\ndefault_pass_file = 'y'");
    assert!(
        refused(&["--config", &both], &[]).contains("default_pass_file: the password is given")
    );
    let (_folder, relative) = file("default_pass_file = 'nowhere'");
    assert!(refused(&["--config", &relative], &[]).contains("/nowhere: No such file"));
}

#[test]
fn backends_and_hashing_modules_have_rabbitmqs_names() {
    for name in ["internal", "rabbit_auth_backend_internal"] {
        let config = load(&[&format!("--auth-backends={name}")], &[]).unwrap();
        assert_eq!(config.auth_backends, [AuthBackend::Internal]);
    }
    let both = "--auth-backends=rabbit_auth_backend_oauth2, http";
    let config = load(&[both], &[]).unwrap();
    assert_eq!(
        config.auth_backends,
        [AuthBackend::OAuth2, AuthBackend::Http]
    );
    for (flag, wanted) in [
        ("--auth-backends=cache", "use http instead of cache"),
        (
            "--auth-backends=ldap",
            "'ldap' is not a backend: use internal",
        ),
        (
            "--auth-backends=internal,internal",
            "'internal' is there twice",
        ),
        (
            "--password-hashing-module=md5",
            "'md5' is not a hashing module: use one of leveret_",
        ),
    ] {
        let reason = refused(&[flag], &[]);
        assert!(reason.contains(wanted), "{reason}");
    }
    let (_folder, path) = file(
        "password_hashing_module = 'rabbit_password_hashing_md5'\nauth_backends = ['internal']",
    );
    let config = load(&["--config", &path], &[]).unwrap();
    assert_eq!(config.password_hashing_module, PasswordHashing::Md5);
}
