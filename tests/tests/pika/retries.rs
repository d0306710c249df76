//! A worker whose queue has rejected messages wait, as docs/operate/retries.md shows it.

use leveret_tests::python::{Pika, Script, script_folder};
use leveret_tests::{TestBroker, run};

async fn a_rejected_message_is_tried_again_and_given_up(pika: Pika) {
    let broker = TestBroker::start().await;
    let script = Script::own(pika, "pika1", "retrying_worker.py");
    let said = script.run(&broker, &[]).await;
    let tries: Vec<&str> = said.iter().map(String::as_str).collect();
    let [first, second, third, last] = tries[..] else {
        panic!("{said:?}")
    };
    assert_eq!(first, "try hello, 0 failures before, after 0 s");
    // On a busy machine it may take a second longer, never one less.
    let after = |said: &str, failures: u64| -> u64 {
        let began = format!("try hello, {failures} failures before, after ");
        let seconds = said.strip_prefix(&began).expect(said);
        seconds.trim_end_matches(" s").parse().expect(said)
    };
    assert!(after(second, 1) >= 1 && after(third, 2) >= 3, "{said:?}");
    assert_eq!(last, "gave up hello: delivery_limit");
}

#[test]
fn a_rejected_message_is_tried_again_and_given_up_with_pika_1_3_2() {
    run(a_rejected_message_is_tried_again_and_given_up(Pika::V1_3_2));
}

#[test]
fn a_rejected_message_is_tried_again_and_given_up_with_pika_1_4() {
    run(a_rejected_message_is_tried_again_and_given_up(Pika::V1_4));
}

#[test]
fn the_page_shows_the_program_as_it_is() {
    let file = script_folder().join("pika1/retrying_worker.py");
    let program = std::fs::read_to_string(file).expect("the program");
    let page = include_str!("../../../docs/operate/retries.md");
    assert!(page.contains(&format!("```python\n{program}```\n")));
}
