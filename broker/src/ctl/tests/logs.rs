//! Output of the verbs about the log.

use super::*;

#[test]
fn lines_are_shown_as_they_are_or_as_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str], chunks: &[&str]| {
        let chunks = chunks.iter().map(|chunk| Response::Chunk(text(chunk)));
        let answer = chunks.chain([Response::Ok]).collect();
        // The socket of the last broker is in the way.
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let broker = broker(folder.path(), answer);
        let shown = ctl_in(folder.path(), words);
        (broker.join().unwrap(), shown)
    };
    let banner = "Last 50 log lines on node leveret@localhost ...\na\nb\nc\n";
    assert_eq!(
        run(&["log_tail"], &["a\nb\n", "c\n"]),
        (Request::LogTail { lines: 50 }, outcome(0, banner, ""))
    );
    let list = "[\n{\"message\":\"a\"}\n,{\"message\":\"b\"}\n]\n";
    let (request, shown) = run(&["log_tail", "-N", "2", "--formatter", "json"], &["a\nb\n"]);
    assert_eq!(
        (request, shown),
        (Request::LogTail { lines: 2 }, outcome(0, list, ""))
    );
    let (_, shown) = run(&["log_tail", "--formatter", "json"], &[]);
    assert_eq!(shown, outcome(0, "[\n]\n", ""));
    let (request, shown) = run(&["log_tail_stream", "-q", "-d", "3"], &["a\n", "", "b\n"]);
    assert_eq!(request, Request::LogTailStream { seconds: Some(3) });
    assert_eq!(shown, outcome(0, "a\nb\n", ""));
    let (request, shown) = run(&["log_location", "-a"], &["/x.log\n<stderr>\n"]);
    assert_eq!(request, Request::LogLocation { all: true });
    let located = "Log file location(s) on node leveret@localhost ...\n/x.log\n<stderr>\n";
    assert_eq!(shown, outcome(0, located, ""));
    let (_, shown) = run(&["log_location", "--formatter", "json"], &["/x.log\n"]);
    let parsed: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        parsed,
        serde_json::json!({"result": "ok", "paths": ["/x.log"]})
    );
    let (request, shown) = run(&["rotate_logs"], &[]);
    assert_eq!(request, Request::RotateLogs);
    let rotating = "Rotating logs for node leveret@localhost ...\n";
    assert_eq!(shown, outcome(0, rotating, ""));
}

#[test]
fn a_level_is_rabbitmqs_or_a_filter() {
    for level in [
        "debug", "info", "notice", "warning", "error", "critical", "alert", "none",
    ] {
        let (request, shown) = ctl(&["set_log_level", level], vec![Response::Ok]);
        assert_eq!(request, Request::SetLogLevel { level: text(level) });
        let banner = format!("Setting log level to \"{level}\" ...\n");
        assert_eq!(shown, outcome(0, &banner, ""));
    }
    ctl(&["set_log_level", "info,leveret=debug"], vec![Response::Ok]);
    let refused = "Error:\nlevel loud is not supported. Try one of debug, info, warning, error, critical, none\n";
    assert_eq!(alone(&["set_log_level", "loud"]), outcome(69, "", refused));
}

#[test]
fn wrong_numbers_and_options_of_other_verbs_are_refused() {
    for (words, invalid) in [
        (&["log_tail", "-N", "x"][..], "-N : x"),
        (&["log_tail", "-N", "-3"], "-N : "),
        (&["log_tail", "--duration", "3"], "--duration : "),
        (&["log_tail_stream", "-d", "1.5"], "-d : 1.5"),
        (&["rotate_logs", "--all"], "--all : "),
    ] {
        let shown = alone(words);
        assert_eq!((shown.status, shown.out.as_str()), (64, ""), "{words:?}");
        let expected =
            format!("Error (argument validation): Invalid options for this command:\n{invalid}\n");
        assert!(shown.err.starts_with(&expected), "{}", shown.err);
    }
    for words in [
        &["log_tail", "x"][..],
        &["set_log_level", "info", "x"],
        &["rotate_logs", "x"],
    ] {
        assert!(alone(words).err.contains("too many arguments."));
    }
    assert!(
        alone(&["set_log_level"])
            .err
            .contains("not enough arguments.")
    );
}
