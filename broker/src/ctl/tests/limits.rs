//! Limits and alarms.

use super::*;
use crate::config::{DiskFreeLimit, MemoryWatermark};
use crate::manage::request::ErrorKind;
use crate::manage::request::Resource;
use crate::manage::value::Value;

#[test]
fn marks_are_set_as_rabbitmqctl_sets_them() {
    let absolute = |bytes| Request::SetDiskFreeLimit {
        limit: DiskFreeLimit::Absolute(bytes),
    };
    let watermark = |watermark| Request::SetVmMemoryHighWatermark { watermark };
    for (words, wanted, banner) in [
        (
            &["set_disk_free_limit", "1GB"][..],
            absolute(1_000_000_000),
            "Setting disk free limit on leveret@localhost to 1000000000 bytes ...\n",
        ),
        (
            &["set_disk_free_limit", "mem_relative", "0.5"],
            Request::SetDiskFreeLimit {
                limit: DiskFreeLimit::MemRelative(0.5),
            },
            "Setting disk free limit on leveret@localhost to 0.5 times the total RAM ...\n",
        ),
        (
            &["set_vm_memory_high_watermark", "0.5"],
            watermark(MemoryWatermark::Relative(0.5)),
            "Setting memory threshold on leveret@localhost to 0.5 ...\n",
        ),
        (
            &["set_vm_memory_high_watermark", "absolute", "2GB"],
            watermark(MemoryWatermark::Absolute(2_000_000_000)),
            "Setting memory threshold on leveret@localhost to 2000000000 bytes ...\n",
        ),
    ] {
        let (request, shown) = ctl(words, vec![Response::Ok]);
        assert_eq!(request, wanted);
        assert_eq!(shown.out, banner);
        assert_eq!(shown.status, 0);
    }
}

#[test]
fn what_is_no_mark_is_refused_with_rabbitmqctls_statuses() {
    for (words, status, reason) in [
        ("set_disk_free_limit", 64, "not enough arguments."),
        ("set_disk_free_limit x", 65, "Bad argument."),
        ("set_disk_free_limit 1.5GB", 65, "Bad argument."),
        (
            "set_disk_free_limit absolute 2GB",
            64,
            "too many arguments.",
        ),
        (
            "set_disk_free_limit mem_relative",
            64,
            "not enough arguments.",
        ),
        ("set_disk_free_limit mem_relative x", 65, "Bad argument."),
        ("set_vm_memory_high_watermark", 64, "not enough arguments."),
        ("set_vm_memory_high_watermark 1GB", 65, "Bad argument."),
        (
            "set_vm_memory_high_watermark 1.5",
            65,
            "Bad argument: The threshold should be a fraction between 0.0 and 1.0",
        ),
        (
            "set_vm_memory_high_watermark absolute",
            64,
            "not enough arguments.",
        ),
        (
            "set_vm_memory_high_watermark 1 2",
            64,
            "too many arguments.",
        ),
        ("clear_user_limits lu", 64, "not enough arguments."),
    ] {
        let shown = alone(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(shown.status, status, "{words}");
        let wanted = format!("Error (argument validation): {reason}\n");
        assert!(shown.err.starts_with(&wanted), "{words}: {}", shown.err);
    }
    let shown = alone(&["set_vm_memory_high_watermark", "absolute", "1XB"]);
    assert_eq!(shown.status, 65);
    assert!(shown.err.contains("'1XB' is not a size"), "{}", shown.err);
}

#[test]
fn alarms_are_told_and_checked() {
    let both = || vec![Response::Alarms(vec![Resource::Disk, Resource::Memory])];
    let none = || vec![Response::Alarms(Vec::new())];
    let lines = "Free disk space alarm\nMemory alarm\n";
    let (request, shown) = ctl(&["alarms", "-q"], both());
    assert_eq!(request, Request::Alarms);
    assert_eq!(shown, outcome(0, lines, ""));
    let (_, shown) = ctl(&["check_alarms", "-q"], both());
    assert_eq!(shown, outcome(69, "", lines));
    let (_, shown) = ctl(&["check_local_alarms", "-q"], both());
    assert_eq!(shown, outcome(69, "", &format!("Error:\n{lines}")));
    let log = vec![Response::Alarms(vec![Resource::CommitLog])];
    let (_, shown) = ctl(&["check_local_alarms", "-q"], log);
    let words = "Error:\nCommit log alarm: it cannot be written, and nothing is confirmed\n";
    assert_eq!(shown, outcome(69, "", words));
    for check in ["check_alarms", "check_local_alarms"] {
        let (_, shown) = ctl(&[check, "-s"], none());
        assert_eq!(shown, outcome(0, "", ""));
        let (_, shown) = ctl(&[check, "--formatter", "json"], none());
        assert_eq!(shown, outcome(0, "{\"result\":\"ok\"}\n", ""));
    }
    let (_, shown) = ctl(&["check_alarms"], none());
    assert_eq!(
        shown.out,
        "Asking node leveret@localhost to report any local resource alarms ...\nNode leveret@localhost \
         reported no alarms, local or clusterwide\n"
    );
    let (_, shown) = ctl(&["check_local_alarms", "--formatter", "json"], both());
    let json: serde_json::Value = serde_json::from_str(&shown.err).unwrap();
    assert_eq!(
        (shown.status, json["local"][1].as_str()),
        (69, Some("Memory alarm"))
    );
    let (_, shown) = ctl(&["alarms", "--formatter", "json"], both());
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["global"], serde_json::json!([]));
}

#[test]
fn limits_are_set_listed_and_cleared() {
    let limits = r#"{"max-connections":2,"max-queues":3}"#;
    let (request, shown) = ctl(&["set_vhost_limits", "-p", "v", limits], vec![Response::Ok]);
    let (vhost, definition) = (text("v"), text(limits));
    assert_eq!(request, Request::SetVhostLimits { vhost, definition });
    let banner = format!("Setting vhost limits to \"{limits}\" for vhost \"v\" ...\n");
    assert_eq!(shown, outcome(0, &banner, ""));
    let answer = || vec![Response::Text(text(limits))];
    let (request, shown) = ctl(&["list_vhost_limits"], answer());
    let vhost = Some(text("/"));
    assert_eq!(request, Request::ListVhostLimits { vhost });
    let wanted = format!("Listing limits for vhost \"/\" ...\n{limits}\n");
    assert_eq!(shown, outcome(0, &wanted, ""));
    let (_, shown) = ctl(&["list_vhost_limits", "--formatter", "json"], answer());
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json, serde_json::json!({ "result": "ok", "value": limits }));
    let none = vec![Response::Text(String::new())];
    let (_, shown) = ctl(&["list_vhost_limits", "--formatter", "json"], none);
    assert_eq!(shown.out, "[]\n");
    let row = vec![Value::from("v"), Value::from(limits)];
    let answer = vec![Response::Rows(vec![row]), Response::Ok];
    let (request, shown) = ctl(&["list_vhost_limits", "--global"], answer);
    assert_eq!(request, Request::ListVhostLimits { vhost: None });
    let wanted = format!("Listing limits for all vhosts ...\nvhost\tlimits\nv\t{limits}\n");
    assert_eq!(shown.out, wanted);
    let (request, shown) = ctl(&["clear_user_limits", "u", "all"], vec![Response::Ok]);
    let (user, limit) = (text("u"), text("all"));
    assert_eq!(request, Request::ClearUserLimits { user, limit });
    assert_eq!(shown.out, "Clearing all limits for user \"u\" ...\n");
    let (request, shown) = ctl(&["list_user_limits"], vec![Response::Text(text("{}"))]);
    let user = Some(text("guest"));
    assert_eq!(request, Request::ListUserLimits { user });
    assert_eq!(shown.out, "Listing limits for user \"guest\" ...\n{}\n");
}

#[test]
fn what_stands_against_limits_is_told_in_rabbitmqctls_words() {
    let refused = |words: &[&str], kind, message: &str| {
        let message = text(message);
        let (_, shown) = ctl(words, vec![Response::Error { kind, message }]);
        (shown.err, shown.status)
    };
    assert_eq!(
        refused(
            &["clear_vhost_limits"],
            ErrorKind::Refused,
            "Parameter does not exist"
        ),
        (text("Error:\nParameter does not exist\n"), 69)
    );
    assert_eq!(
        refused(
            &["set_vhost_limits", "-p", "v", "{}"],
            ErrorKind::NoSuchVhost,
            ""
        ),
        (text("Virtual host 'v' does not exist\n"), 65)
    );
    assert_eq!(
        refused(
            &["list_user_limits", "--user", "u"],
            ErrorKind::NoSuchUser,
            ""
        ),
        (text("Error:\nUser \"u\" does not exist\n"), 67)
    );
    assert_eq!(
        refused(&["set_user_limits", "u", "{}"], ErrorKind::NoSuchUser, ""),
        (text("Error:\nUser \"u\" does not exist\n"), 67)
    );
}
