//! 200,000 trades through two hosts, one joining and one leaving while trades flow: none is lost, order is kept.

use std::time::Duration;

use crate::broker;
use crate::host::Host;
use crate::manifest::Settling;
use crate::settlements::Settlements;
use crate::trades::{PARTITIONS, Source};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn every_trade_is_settled_while_hosts_come_and_go_in_the_classic_protocol() {
    hosts_come_and_go("classic");
}

#[test]
fn every_trade_is_settled_while_hosts_come_and_go_in_the_consumer_protocol() {
    hosts_come_and_go("consumer");
}

fn hosts_come_and_go(protocol: &str) {
    let folder = tempfile::tempdir().expect("making a folder");
    let host = |name: &str| {
        let kafka = format!("\"group.protocol\" = \"{protocol}\"");
        Settling { kafka, ..Settling::new(&format!("settling-{protocol}"), folder.path(), name) }
    };
    let (first, second) = (host("first"), host("second"));
    first.create_topics(PARTITIONS);

    let source = Source::start(&first.input);
    let mut settlements = Settlements::of(&first.output);
    let leaving = first.start();
    settlements
        .read_until("the first host settles trades", LIMIT, |settlements| settlements.trades() > 0);
    let joining = second.start();
    settlements.read_until("the second host takes its share", LIMIT, |_| handled(&joining) > 0.0);
    let status = leaving.terminate();
    assert!(status.success(), "a host that is told to stop ends well, not with {status}");
    let total = source.finish();
    settlements
        .read_until("every trade is settled", LIMIT, |settlements| settlements.trades() == total);

    let status = joining.terminate();
    assert!(status.success(), "a host that is told to stop ends well, not with {status}");
    let positions = broker::committed(&first.app, &first.input, PARTITIONS);
    assert_eq!(
        positions,
        broker::ends(&first.input),
        "the position behind the last trade is committed everywhere"
    );
    println!(
        "{protocol}: {total} trades settled, {} of them more than once",
        settlements.repeated()
    );
}

fn handled(host: &Host) -> f64 {
    host.metric("tidemill_function_records_in_total")
}
