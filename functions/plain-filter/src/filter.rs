//! The filter itself, apart from the component around it.

use crate::bindings::{
    Description, Failure, Message, Outcome,
    tidemill::function::{
        plain::{Emission, Part},
        types::{Role, Shape, Slot, Source},
    },
};

/// What the manifest gives.
#[derive(serde::Deserialize)]
struct Config {
    word: String,
}

/// Keeps what contains the word.
pub(crate) struct Filter {
    word: Vec<u8>,
}

impl Filter {
    pub(crate) fn new(config: &str) -> Result<Self, String> {
        let config: Config =
            serde_json::from_str(config).map_err(|error| format!("config: {error}"))?;
        if config.word.is_empty() {
            return Err("config `word` is empty: every record contains it".to_owned());
        }
        Ok(Filter { word: config.word.into_bytes() })
    }

    /// Handles messages up to the first without a value.
    pub(crate) fn handle(&self, messages: &[Message]) -> Outcome {
        let mut outcome = Outcome { handled: 0, failure: None, emissions: Vec::new() };
        for message in messages {
            let Some(value) = &message.value else {
                outcome.failure = Some(Failure::Reject("record has no value".to_owned()));
                break;
            };
            if value.windows(self.word.len()).any(|part| part == self.word) {
                outcome.emissions.push(as_it_came(outcome.handled));
            }
            outcome.handled += 1;
        }
        outcome
    }
}

fn as_it_came(cause: u32) -> Emission {
    Emission {
        cause,
        output: 0,
        key: Part::Inherit,
        value: Part::Inherit,
        headers: None,
        timestamp: None,
        partition: None,
    }
}

/// One input, one configuration value, one output.
pub(crate) fn description() -> Description {
    let slot = |name: &str, role, value: &str, required| Slot {
        name: name.to_owned(),
        role,
        key: String::new(),
        value: value.to_owned(),
        rekeys: false,
        required,
        columns: Vec::new(),
        attributes: Vec::new(),
    };
    Description {
        name: "plain_filter".to_owned(),
        layouts: Vec::new(),
        sources: vec![Source {
            name: None,
            shape: Shape::Plain,
            key: "bytes".to_owned(),
            value: "bytes".to_owned(),
            attributes: Vec::new(),
        }],
        slots: vec![
            slot("word", Role::Config, "json", true),
            slot("kept", Role::Output, "bytes", false),
        ],
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::tidemill::function::plain::{Kind, Origin};

    fn message(value: Option<&str>) -> Message {
        Message {
            kind: Kind::Record,
            source: 0,
            origin: Origin { topic: "t".to_owned(), partition: 0, offset: 0 },
            timestamp: 0,
            key: None,
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: Vec::new(),
            attempt: 0,
        }
    }

    #[test]
    fn keeps_what_contains_the_word_up_to_the_first_null() {
        let filter = Filter::new(r#"{"word":"tea"}"#).unwrap();
        let messages =
            [Some("green tea"), Some("coffee"), Some("tea"), None, Some("tea")].map(message);
        let outcome = filter.handle(&messages);
        let kept: Vec<_> = outcome.emissions.iter().map(|emission| emission.cause).collect();
        assert_eq!((outcome.handled, kept), (3, vec![0, 2]));
        assert!(
            matches!(outcome.failure, Some(Failure::Reject(reason)) if reason == "record has no value")
        );
    }

    #[test]
    fn the_word_is_needed() {
        let error = |config| Filter::new(config).err();
        assert_eq!(error("{}").as_deref(), Some("config: missing field `word` at line 1 column 2"));
        assert_eq!(
            error(r#"{"word":""}"#).as_deref(),
            Some("config `word` is empty: every record contains it")
        );
        assert_eq!(description().slots.len(), 2);
    }
}
