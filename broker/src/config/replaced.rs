//! Settings that have two forms, such as `port` and `listeners`: a layer that has one of them takes the place of the other
//! in all layers below. Nobody would notice, so it is told.

use super::listener::ListenerSpecs;
use super::rabbitmq::Note;
use super::settings::Settings;
use std::path::Path;

/// One of the two forms of a setting: all of its keys that a layer has.
type Form = Vec<&'static str>;

/// Which forms a layer has, by setting.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms([[Form; 2]; 4]);

/// Where a layer comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// The command line.
    Flags,
    /// Variables of Leveret's.
    Variables,
    /// Variables of RabbitMQ's, with the settings that they set.
    OfRabbitmq(&'a [(&'static str, &'static str)]),
    /// A file.
    File(&'a Path),
}

impl Origin<'_> {
    /// Returns how this key is called there.
    fn name(self, key: &str) -> String {
        match self {
            Origin::Flags => format!("--{}", key.replace('_', "-")),
            Origin::Variables => format!("LEVERET_{}", key.to_uppercase()),
            Origin::OfRabbitmq(taken) => {
                let variable = taken.iter().find(|(_, setting)| *setting == key);
                variable.map_or(key, |(variable, _)| variable).to_owned()
            }
            Origin::File(path) => format!("{key} in {}", path.display()),
        }
    }
}

impl Settings {
    /// Returns which forms this layer has.
    pub(super) fn forms(&self) -> Forms {
        fn form<const N: usize>(keys: [(&'static str, bool); N]) -> Form {
            let given = keys.into_iter().filter(|(_, is_given)| *is_given);
            given.map(|(key, _)| key).collect()
        }
        // An empty list takes the place of nothing.
        let lists = |specs: &Option<ListenerSpecs>| {
            specs.as_ref().is_some_and(|listed| !listed.0.is_empty())
        };
        Forms([
            [
                form([
                    ("bind", self.bind.is_some()),
                    ("port", self.port.is_some()),
                    ("tls_port", self.tls_port.is_some()),
                ]),
                form([("listeners", lists(&self.listeners))]),
            ],
            [
                form([
                    ("management_bind", self.management_bind.is_some()),
                    ("management_port", self.management_port.is_some()),
                    ("management_tls_port", self.management_tls_port.is_some()),
                ]),
                form([("management_listeners", lists(&self.management_listeners))]),
            ],
            [
                form([
                    ("prometheus_bind", self.prometheus_bind.is_some()),
                    ("prometheus_port", self.prometheus_port.is_some()),
                    ("prometheus_tls_port", self.prometheus_tls_port.is_some()),
                ]),
                form([("prometheus_listeners", lists(&self.prometheus_listeners))]),
            ],
            [
                form([("default_pass", self.default_pass.is_some())]),
                form([("default_pass_file", self.default_pass_file.is_some())]),
            ],
        ])
    }
}

/// Returns a note for each setting whose one form takes the place of its other form in a layer below. The highest layer
/// comes first.
pub(super) fn notes(layers: &[(Origin<'_>, Forms)]) -> Vec<Note> {
    let mut notes = Vec::new();
    for setting in 0..Forms::default().0.len() {
        let has = |forms: &Forms, form: usize| !forms.0[setting][form].is_empty();
        let decides = layers
            .iter()
            .position(|(_, forms)| has(forms, 0) || has(forms, 1));
        let Some(at) = decides else {
            continue;
        };
        let (origin, forms) = &layers[at];
        // No layer has both: that is refused.
        let (used, other) = match (has(forms, 0), has(forms, 1)) {
            (true, false) => (0, 1),
            (false, true) => (1, 0),
            _ => continue,
        };
        let winners = forms.0[setting][used].iter();
        let winners: Vec<String> = winners.map(|key| origin.name(key)).collect();
        for (origin, forms) in &layers[at + 1..] {
            let losers = forms.0[setting][other].iter();
            let losers: Vec<String> = losers.map(|key| origin.name(key)).collect();
            if !losers.is_empty() {
                notes.push(Note::of_settings(
                    losers.join(", "),
                    format!(
                        "this has no effect, because {} takes its place: use one or the other",
                        winners.join(", ")
                    ),
                ));
            }
        }
    }
    notes
}
