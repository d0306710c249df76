//! Output of the commands that change something.

use super::*;
use crate::manage::pid::Pid;

#[test]
fn banners_name_what_is_done() {
    let shown = |words: &[&str]| ctl(words, vec![Response::Ok]).1.out;
    for (words, banner) in [
        (&["list_connections"][..], "Listing connections ...\n"),
        (&["list_channels"], "Listing channels ...\n"),
        (&["list_consumers"], "Listing consumers in vhost / ...\n"),
        (&["list_exchanges"], "Listing exchanges for vhost / ...\n"),
        (&["list_bindings"], "Listing bindings for vhost /...\n"),
        (&["list_vhosts"], "Listing vhosts ...\n"),
        (
            &["list_permissions"],
            "Listing permissions for vhost \"/\" ...\n\n",
        ),
        (
            &["list_user_permissions", "w"],
            "Listing permissions for user \"w\" ...\n\n",
        ),
        (
            &["change_password", "walker", "1"],
            "Changing password for user \"walker\" ...\n",
        ),
        (&["delete_user", "walker"], "Deleting user \"walker\" ...\n"),
        (
            &["set_user_tags", "w", "administrator", "x"],
            "Setting tags for user \"w\" to [administrator, x] ...\n",
        ),
        (
            &["set_user_tags", "w"],
            "Setting tags for user \"w\" to [] ...\n",
        ),
        (
            &["set_permissions", "walker", ".*", "", "^a"],
            "Setting permissions for user \"walker\" in vhost \"/\" ...\n",
        ),
        (
            &["clear_permissions", "-p", "v", "walker"],
            "Clearing permissions for user \"walker\" in vhost \"v\" ...\n",
        ),
        (
            &["set_topic_permissions", "w", "amq.topic", "^a", ""],
            "Setting topic permissions on \"amq.topic\" for user \"w\" in vhost \"/\" ...\n",
        ),
        (
            &["clear_topic_permissions", "w"],
            "Clearing topic permissions for user \"w\" in vhost \"/\" ...\n",
        ),
        (
            &["clear_topic_permissions", "-p", "v", "w", "x"],
            "Clearing topic permissions on \"x\" for user \"w\" in vhost \"v\" ...\n",
        ),
        (
            &["list_topic_permissions"],
            "Listing topic permissions for vhost \"/\" ...\n\n",
        ),
        (
            &["list_user_topic_permissions", "w"],
            "Listing topic permissions for user \"w\" ...\n\n",
        ),
        (&["add_vhost", "v1"], "Adding vhost \"v1\" ...\n"),
        (&["delete_vhost", "v1"], "Deleting vhost \"v1\" ...\n"),
        (
            &["set_vhost_tags", "v1", "a,b", "c"],
            "Setting tags for virtual host \"v1\" to [a,b, c] ...\n",
        ),
        (
            &["trace_on", "-p", "v1"],
            "Starting tracing for vhost \"v1\" ...\nTrace enabled for vhost v1\n",
        ),
        (
            &["trace_off"],
            "Stopping tracing for vhost \"/\" ...\nTrace disabled for vhost /\n",
        ),
        (
            &["clear_password", "w"],
            "Clearing password for user \"w\" ...\n",
        ),
        (
            &["set_parameter", "a", "b", r#"{"c":1}"#],
            "Setting runtime parameter \"b\" for component \"a\" to \"{\"c\":1}\" in vhost \"/\" ...\n",
        ),
        (
            &["clear_parameter", "a", "b"],
            "Clearing runtime parameter \"b\" for component \"a\" on vhost \"/\" ...\n",
        ),
        (
            &["set_global_parameter", "a", "5"],
            "Setting global runtime parameter \"a\" to \"5\" ...\n",
        ),
        (
            &["clear_global_parameter", "a"],
            "Clearing global runtime parameter \"a\" ...\n",
        ),
        (
            &["sync_queue", "q"],
            "Synchronising queue 'q' in vhost '/' ...\n",
        ),
        (
            &["cancel_sync_queue", "q"],
            "Stopping synchronising queue 'q' in vhost '/' ...\n",
        ),
        (
            &["purge_queue", "hello"],
            "Purging queue 'hello' in vhost '/' ...\n",
        ),
        (
            &["close_connection", "<leveret.3.0>", "why"],
            "Closing connection <leveret.3.0>, reason: why...\n",
        ),
        (
            &["authenticate_user", "w", "x"],
            "Authenticating user \"w\" ...\nSuccess\n",
        ),
    ] {
        assert_eq!(shown(words), banner);
        let quiet: Vec<&str> = words.iter().copied().chain(["-q"]).collect();
        let rest = banner.split_once('\n').map_or("", |(_, rest)| rest);
        assert_eq!(shown(&quiet), rest);
    }
}

#[test]
fn a_user_is_added_with_a_hint() {
    let words = ["add_user", "walker", "123456"];
    let (request, shown) = ctl(&words, vec![Response::Ok]);
    let (user, password) = (text("walker"), text("123456"));
    assert_eq!(request, Request::AddUser { user, password });
    let hint = "Done. Don't forget to grant the user permissions to some virtual hosts! See \
                'leveretctl help set_permissions' to learn more.";
    assert_eq!(
        shown,
        outcome(0, &format!("Adding user \"walker\" ...\n{hint}\n"), "")
    );
    let quiet = ["-q", "add_user", "walker", "--", "-x"];
    let (request, shown) = ctl(&quiet, vec![Response::Ok]);
    assert!(matches!(request, Request::AddUser { password, .. } if password == "-x"));
    assert_eq!(shown, outcome(0, "", ""));
    let json = ["add_user", "walker", "1", "--formatter=json"];
    let wanted = format!("{{\"message\":\"{hint}\",\"status\":\"ok\"}}\n");
    assert_eq!(ctl(&json, vec![Response::Ok]).1, outcome(0, &wanted, ""));
    let json = ["delete_user", "walker", "--formatter=json"];
    assert_eq!(
        ctl(&json, vec![Response::Ok]).1.out,
        "{\"result\":\"ok\"}\n"
    );
}

#[test]
fn counts_are_told() {
    let (request, shown) = ctl(&["delete_queue", "q", "-e", "-u"], vec![Response::Count(1)]);
    let (vhost, queue, if_empty, if_unused) = (text("/"), text("q"), true, true);
    assert_eq!(
        request,
        Request::DeleteQueue {
            vhost,
            queue,
            if_empty,
            if_unused
        }
    );
    let banner = "Deleting queue 'q' on vhost '/' if queue is empty and if queue is unused ...\n";
    let deleted = "Queue was successfully deleted with 1 ready messages\n";
    assert_eq!(shown, outcome(0, &format!("{banner}{deleted}"), ""));
    let (request, shown) = ctl(
        &["-q", "close_all_connections", "x"],
        vec![Response::Count(0)],
    );
    let (vhost, reason) = (Some(text("/")), text("x"));
    assert_eq!(
        request,
        Request::CloseAllConnections {
            delay_ms: 0,
            vhost,
            limit: None,
            reason
        }
    );
    assert_eq!(shown, outcome(0, "Closed 0 connections\n", ""));
    let (request, shown) = ctl(
        &["close_all_user_connections", "hare", "x"],
        vec![Response::Ok],
    );
    let (user, reason) = (text("hare"), text("x"));
    assert_eq!(request, Request::CloseAllUserConnections { user, reason });
    let banner = "Closing connections of user hare, reason: x...\n";
    assert_eq!(shown, outcome(0, banner, ""));
}

#[test]
fn pids_are_given_back_as_they_were_shown() {
    let pid = Pid {
        connection: 3,
        channel: 0,
    };
    let words = [
        "-q",
        "close_connection",
        &pid.to_string(),
        "because I say so",
    ];
    let (request, _) = ctl(&words, vec![Response::Ok]);
    assert_eq!(
        request,
        Request::CloseConnection {
            pid,
            reason: text("because I say so")
        }
    );
}

#[test]
fn ping_stop_and_await_startup() {
    let (request, shown) = ctl(&["ping"], vec![Response::Ok]);
    assert_eq!(request, Request::Ping);
    assert!(
        shown
            .out
            .ends_with(". Timeout: 60000 ms.\nPing succeeded\n"),
        "{}",
        shown.out
    );
    assert_eq!(
        ctl(&["ping", "-s"], vec![Response::Ok]).1,
        outcome(0, "Ping succeeded\n", "")
    );
    assert_eq!(
        ctl(&["await_startup"], vec![Response::Ok]).1,
        outcome(0, "", "")
    );
    let (request, shown) = ctl(&["-q", "stop", "/run/leveret.pid"], vec![Response::Ok]);
    assert_eq!((request, shown), (Request::Stop, outcome(0, "", "")));
}

#[test]
fn await_startup_waits_for_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let waiting = thread::spawn(move || ctl_in(&data_dir, &["await_startup", "-t", "20"]));
    let asked = broker(folder.path(), vec![Response::Ok]);
    assert_eq!(waiting.join().unwrap(), outcome(0, "", ""));
    assert_eq!(asked.join().unwrap(), Request::IsRunning);
}
