//! Parameters, and what operators say about virtual hosts, as leveretctl shows and sets them.

use leveret_tests::{TestBroker, run};

#[test]
fn parameters_are_set_listed_and_cleared() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let limits = r#"{"max-queues":5}"#;
        let set = broker
            .ctl(&["set_parameter", "vhost-limits", "limits", limits])
            .await;
        assert_eq!(
            set,
            format!(
                "Setting runtime parameter \"limits\" for component \"vhost-limits\" to \"{limits}\" in vhost \"/\" ...\n"
            )
        );
        let listed = broker.ctl(&["list_parameters"]).await;
        let expected = format!(
            "Listing runtime parameters for vhost \"/\" ...\ncomponent\tname\tvalue\nvhost-limits\tlimits\t{limits}\n"
        );
        assert_eq!(listed, expected);
        broker
            .ctl(&["clear_parameter", "vhost-limits", "limits"])
            .await;
        assert_eq!(broker.ctl(&["-s", "list_parameters"]).await.trim(), "");
        broker
            .ctl(&["set_global_parameter", "g", r#"{"a":[1]}"#])
            .await;
        let globals = broker.ctl(&["-q", "list_global_parameters"]).await;
        assert!(globals.starts_with("name\tvalue\n"), "{globals}");
        assert!(globals.contains("g\t{\"a\":[1]}\n"), "{globals}");
        broker.ctl(&["clear_global_parameter", "g"]).await;
        for (arguments, status) in [
            (&["clear_global_parameter", "g"][..], 69),
            (&["clear_parameter", "shovel", "s"], 69),
            (&["set_parameter", "shovel", "s", "{}"], 69),
            (&["set_parameter", "vhost-limits", "limits", "nonsense"], 69),
            (&["set_global_parameter", "g", "nonsense"], 69),
            (
                &[
                    "set_parameter",
                    "-p",
                    "nowhere",
                    "vhost-limits",
                    "limits",
                    "{}",
                ],
                65,
            ),
            (&["list_parameters", "-p", "nowhere"], 65),
            (&["set_parameter", "a", "b"], 64),
        ] {
            let output = broker.try_ctl(arguments).await;
            assert_eq!(output.status, Some(status), "{arguments:?}: {output:?}");
        }
    });
}

#[test]
fn virtual_hosts_have_metadata_and_a_default_type_of_queues() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let add = [
            "add_vhost",
            "v",
            "--description",
            "d",
            "--tags",
            "a,b",
            "--default-queue-type",
            "quorum",
        ];
        broker.ctl(&add).await;
        let columns = [
            "-s",
            "list_vhosts",
            "name",
            "description",
            "tags",
            "default_queue_type",
        ];
        let listed = broker.ctl(&columns).await;
        assert!(listed.contains("v\td\t[a, b]\tquorum\n"), "{listed}");
        let set = broker.ctl(&["set_vhost_tags", "v", "x", "y"]).await;
        assert_eq!(set, "Setting tags for virtual host \"v\" to [x, y] ...\n");
        broker
            .ctl(&["update_vhost_metadata", "v", "--description", "e"])
            .await;
        let listed = broker.ctl(&columns).await;
        assert!(listed.contains("v\te\t[x, y]\tquorum\n"), "{listed}");
        broker
            .ctl(&[
                "update_vhost_metadata",
                "/",
                "--default-queue-type",
                "stream",
            ])
            .await;
        broker.client().await.durable_queue("q").await;
        broker.client().await.queue("transient").await;
        let types = broker
            .ctl(&[
                "-s",
                "list_queues",
                "name",
                "type",
                "leader",
                "members",
                "online",
            ])
            .await;
        let node = "leveret@localhost";
        assert!(
            types.contains(&format!("q\tstream\t{node}\t[{node}]\t[{node}]\n")),
            "{types}"
        );
        assert!(types.contains("transient\tclassic\t\t\t\n"), "{types}");
        for (arguments, status) in [
            (
                &["add_vhost", "w", "--default-queue-type", "nonsense"][..],
                69,
            ),
            (&["add_vhost", "w", "--default-queue-type", ""], 69),
            (&["set_vhost_tags", "nowhere", "x"], 65),
            (&["update_vhost_metadata", "nowhere"], 65),
            (&["restart_vhost", "-p", "nowhere"], 70),
            (&["sync_queue", "q"], 69),
            (&["cancel_sync_queue", "nothing"], 69),
            (&["clear_password", "nobody"], 67),
        ] {
            let output = broker.try_ctl(arguments).await;
            assert_eq!(output.status, Some(status), "{arguments:?}: {output:?}");
        }
        let restarted = broker.ctl(&["restart_vhost"]).await;
        assert!(
            restarted.contains("Vhost '/' is already running"),
            "{restarted}"
        );
        broker.ctl(&["force_gc"]).await;
    });
}

#[test]
fn a_cleared_password_lets_nobody_in() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["add_user", "u", "p"]).await;
        broker.ctl(&["authenticate_user", "u", "p"]).await;
        broker.ctl(&["clear_password", "u"]).await;
        for password in ["p", ""] {
            let output = broker.try_ctl(&["authenticate_user", "u", password]).await;
            assert_eq!(output.status, Some(65), "{output:?}");
        }
    });
}
