//! Connections that a dialogue takes as given: logged in, tuned, open.

use std::time::Instant;

use super::item::Item;
use super::peer::Peer;
use super::scanner::quoted;
use super::script::options;
use super::value::Value;

/// What a dialogue's clients announce unless it says otherwise, as most libraries do.
const CAPABILITIES: &str = "{capabilities={authentication_failure_close=true consumer_cancel_notify=true \
     basic.nack=true publisher_confirms=true connection.blocked=true}}";

/// How far a connection has come when a dialogue takes over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing is said.
    Socket,
    /// connection.start has come.
    Start,
    /// connection.tune has come.
    Tune,
    /// Channel 1 is open.
    Running,
}

/// How to connect: `user password vhost properties frame-max channel-max heartbeat`, and `until`
/// where to stop.
struct Login {
    user: String,
    password: String,
    vhost: String,
    properties: String,
    tune: [(&'static str, Option<u64>); 3],
    until: Stage,
}

impl Login {
    fn parse(line: &str) -> Result<Self, String> {
        let mut login = Login {
            user: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            properties: CAPABILITIES.into(),
            tune: [
                ("channel-max", None),
                ("frame-max", None),
                ("heartbeat", Some(0)),
            ],
            until: Stage::Running,
        };
        for (name, value) in options(line)? {
            match name.as_str() {
                "user" => login.user = value,
                "password" => login.password = value,
                "vhost" => login.vhost = value,
                "properties" => login.properties = value,
                "until" => {
                    login.until = match value.as_str() {
                        "socket" => Stage::Socket,
                        "start" => Stage::Start,
                        "tune" => Stage::Tune,
                        other => return Err(format!("until what: `{other}`")),
                    };
                }
                name => {
                    let limit = login.tune.iter_mut().find(|(known, _)| *known == name);
                    let (_, limit) = limit.ok_or_else(|| format!("no option `{name}`"))?;
                    *limit = Some(value.parse().map_err(|_| format!("no number: {value}"))?);
                }
            }
        }
        Ok(login)
    }
}

/// Reads the next thing on a channel, which has to be this method.
fn expect(peer: &mut Peer, channel: u16, name: &str, until: Instant) -> Result<Item, String> {
    match peer.next(channel, until)? {
        Some((_, item)) if item.method().is_some_and(|method| method.name == name) => Ok(item),
        other => Err(format!("expected {name}, got {other:?}")),
    }
}

fn say(peer: &mut Peer, channel: u16, line: &str) -> Result<(), String> {
    let item = Item::parse(line, false)?;
    peer.send(channel, &item);
    Ok(())
}

/// Opens a connection as a line of options says, with its channel 1, and says which product
/// answered, if it was asked.
pub(super) fn connect(
    address: &str,
    line: &str,
    answers_close: bool,
    until: Instant,
) -> Result<(Peer, Option<String>), String> {
    let login = Login::parse(line)?;
    let mut peer = Peer::dial(address, answers_close)?;
    if login.until == Stage::Socket {
        return Ok((peer, None));
    }
    say(&mut peer, 0, r#"bytes "AMQP\x00\x00\x09\x01""#)?;
    let start = expect(&mut peer, 0, "connection.start", until)?;
    if login.until == Stage::Start {
        return Ok((peer, product(&start)));
    }
    let response = quoted(format!("\0{}\0{}", login.user, login.password).as_bytes());
    let properties = &login.properties;
    say(
        &mut peer,
        0,
        &format!(
            "connection.start-ok client-properties={properties} mechanism=PLAIN response={response} locale=en_US"
        ),
    )?;
    let tune = expect(&mut peer, 0, "connection.tune", until)?;
    if login.until == Stage::Tune {
        return Ok((peer, product(&start)));
    }
    let mut tune_ok = "connection.tune-ok".to_owned();
    for (name, chosen) in login.tune {
        let value = match (chosen, tune.field(name)) {
            (Some(chosen), _) => chosen,
            (None, Some(Value::Integer(_, proposed))) => *proposed as u64,
            (None, other) => return Err(format!("no proposal for {name}: {other:?}")),
        };
        if name == "frame-max" && value > 0 {
            peer.frame_max = value as usize;
        }
        tune_ok.push_str(&format!(" {name}={value}"));
    }
    say(&mut peer, 0, &tune_ok)?;
    let vhost = quoted(login.vhost.as_bytes());
    say(
        &mut peer,
        0,
        &format!("connection.open virtual-host={vhost}"),
    )?;
    expect(&mut peer, 0, "connection.open-ok", until)?;
    say(&mut peer, 1, "channel.open")?;
    expect(&mut peer, 1, "channel.open-ok", until)?;
    Ok((peer, product(&start)))
}

/// What a connection.start says the broker is: name and version.
fn product(start: &Item) -> Option<String> {
    let Some(Value::Table(properties)) = start.field("server-properties") else {
        return None;
    };
    let text = |wanted: &str| {
        let (_, value) = properties
            .iter()
            .find(|(name, _)| name == wanted.as_bytes())?;
        match value {
            Value::Octets(_, octets) => Some(String::from_utf8_lossy(octets).into_owned()),
            _ => None,
        }
    };
    Some(format!("{} {}", text("product")?, text("version")?))
}
