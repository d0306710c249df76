use super::*;
use crate::broker::{Broker, DEFAULT_VHOST, Limits};
use crate::queue::Effects;
use crate::server::mailbox::Mailbox;
use crate::server::{ConnectionId, ConnectionInfo};
use crate::vhost::VhostSpec;
use bytes::BytesMut;
use leveret_protocol::frame::{self, Split};
use leveret_protocol::{MethodId, method};
use std::sync::Arc;

const FRAME_MAX: u32 = 131_072;
const UPDATE_SECRET_OK: MethodId = MethodId {
    class: 10,
    method: 71,
};

/// A connection that is logged in and open, on a broker of its own.
fn running() -> Connection {
    let limits = Limits {
        channel_max: 2047,
        frame_max: FRAME_MAX,
        heartbeat: 60,
        max_message_size: 1 << 24,
    };
    let broker = Arc::new(Broker::new(limits, Vec::new(), None));
    broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut Effects::default());
    let vhost = broker.vhost(DEFAULT_VHOST).expect("just added");
    let address = "127.0.0.1:5672".parse().expect("an address");
    let id = ConnectionId(1);
    let info = Arc::new(ConnectionInfo::new(id, address, address));
    let mut connection = Connection::new(broker, info, Arc::new(Mailbox::new(id)));
    connection.login = Some(Login {
        user: "walker".into(),
        vhost,
    });
    connection.phase = Phase::Running;
    connection
}

/// Sends a method on channel 0; the identity of the first method that comes back.
fn ask(connection: &mut Connection, ask: connection::AMQPMethod) -> Option<MethodId> {
    let mut input = BytesMut::new();
    method::encode(
        &mut input,
        ChannelId::CONNECTION,
        &AMQPClass::Connection(ask),
    );
    connection.input(&mut input, Instant::now());
    let output = connection.out.buffer();
    match frame::split(output, FRAME_MAX) {
        Ok(Split::Whole(frame)) => method::peek_id(&output[frame.payload()]),
        _ => None,
    }
}

#[test]
fn a_running_connection_may_update_its_secret() {
    let mut connection = running();
    let update = connection::UpdateSecret {
        new_secret: LongString::from("123456"),
        reason: "expired".into(),
    };
    let answer = ask(
        &mut connection,
        connection::AMQPMethod::UpdateSecret(update),
    );
    assert_eq!(answer, Some(UPDATE_SECRET_OK));
    assert!(connection.is_running());
}
