//! Several channels on each connection.

use super::{count, fails, measured};
use leveret_tests::{Process, TestBroker, binaries, eventually, run};

#[test]
fn messages_on_several_channels_are_counted_once() {
    run(async {
        let broker = TestBroker::start().await;
        for arguments in [
            "-C 1000 --channels 3",
            "-C 1001 -X 7 -Y 2 -c 10 -p -a -P 5",
            "-C 500 -X 5 -c 1000 -y 2 -Y 3 -q 2 -a -A 4 -P 8",
            "-C 50 -s 200000 --channels 2 -a -c 3",
            "-C 900 -s 0 --producer-channel-count 4 --consumer-channel-count 4",
            "--backlog 1000 --channels 3 -c 100 -a -P 50",
            "-C 300 -r 3000 -x 2 -X 2 -c 5 -l",
        ] {
            let summary = measured(&broker, arguments).await;
            let published = count(&summary, "published");
            assert!(published >= 50, "{arguments}: {summary}");
            assert_eq!(count(&summary, "consumed"), published, "{arguments}");
            if arguments.contains("-c ") {
                assert_eq!(count(&summary, "confirmed"), published, "{arguments}");
            }
        }
    });
}

#[test]
fn every_channel_publishes_and_consumes() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        let mut command = std::process::Command::new(&binaries().leveretperf);
        command.args("-X 3 -Y 4 -c 10 -a -P 10 -r 300 -d 600 -u q".split_whitespace());
        command.args(["--quiet", "--address", broker.address()]);
        let process = Process::start("leveretperf", &mut command);
        let columns = ["messages_unconfirmed", "consumer_count", "confirm"];
        eventually(
            "three channels that publish and four that consume",
            async || {
                let mut list = vec!["-q", "list_channels"];
                list.extend(columns);
                let listed = broker.ctl(&list).await;
                let rows = listed
                    .lines()
                    .map(|row| row.split('\t').collect::<Vec<_>>());
                let rows: Vec<_> = rows.collect();
                let confirming = rows.iter().filter(|row| row[2] == "true").count();
                let consuming = rows.iter().filter(|row| row[1] == "1").count();
                ((confirming, consuming) == (3, 4)).then_some(())
            },
        )
        .await;
        process.signal("INT");
        process.succeeded().await;
    });
}

#[test]
fn more_channels_than_the_broker_allows_are_refused() {
    run(async {
        let Some(broker) = TestBroker::start_own_with(&["--channel-max", "5"]).await else {
            return;
        };
        let at = format!("--quiet -C 1 --address {}", broker.address());
        let few = "the broker allows 5 channels on a connection, fewer than the 6";
        fails(&format!("{at} --channels 6"), 1, few).await;
        fails(&format!("{at} connection-count --channels 6"), 1, few).await;
        let summary = measured(&broker, "-C 1 --channels 5").await;
        assert_eq!(count(&summary, "consumed"), 1);
    });
}
