//! librdkafka's errors as the seams type them: by what must follow.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::broker::Error;

/// An error of the client in its own words.
pub(super) fn words(code: Code) -> String {
    code.to_string()
}

/// What became of a record that was not delivered.
pub(super) fn of_delivery(code: Code) -> Error {
    match code {
        Code::MessageSizeTooLarge => {
            Error::TooLarge("the topic's or the producer's `max.message.bytes` is smaller".into())
        }
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => {
            Error::Fenced(words(code))
        }
        Code::PurgeQueue | Code::PurgeInflight => {
            Error::Abortable("the transaction was aborted".into())
        }
        Code::Fatal => Error::Fatal(words(code)),
        Code::MessageTimedOut
        | Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::RequestTimedOut
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition => Error::Retriable(words(code)),
        // What the record itself is to blame for, such as a partition that the topic does not have: it will be refused
        // again.
        Code::InvalidMessage
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::PolicyViolation
        | Code::UnknownPartition => Error::Refused(words(code)),
        // Brokers that are away for a moment show as unknown topics and fenced epochs; rights may be given later.
        _ => Error::Retriable(words(code)),
    }
}

/// Why a commit of positions failed.
pub(super) fn of_commit(code: Code) -> Error {
    match code {
        Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::AssignmentLost => Error::Fenced(words(code)),
        Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed => {
            Error::Refused(words(code))
        }
        Code::Fatal => Error::Fatal(words(code)),
        _ => Error::Retriable(words(code)),
    }
}

/// Whether the member is in the group but its epoch has just moved: worth another try.
pub(super) fn is_moving(code: Code) -> bool {
    matches!(code, Code::StaleMemberEpoch | Code::RebalanceInProgress)
}

/// Whether a group's coordinator is moving to another broker: worth another try.
pub(super) fn is_coming(code: Code) -> bool {
    matches!(
        code,
        Code::NotCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::WaitingForCoordinator
            | Code::BrokerTransportFailure
    )
}

/// An error that a consumer reports beside its records.
pub(super) fn of_consumer(error: &KafkaError, reason: Option<String>) -> Error {
    let text = reason.unwrap_or_else(|| error.to_string());
    match error {
        KafkaError::MessageConsumptionFatal(Code::FencedInstanceId) => Error::Fenced(text),
        KafkaError::MessageConsumptionFatal(_) => Error::Fatal(text),
        other => match other.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                Error::Refused(text)
            }
            _ => Error::Retriable(text),
        },
    }
}

/// Whether it only says that a broker cannot be reached.
pub(super) fn is_transport(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve))
}

/// An error of a request that was answered, or was not: `address` and `reason` say where and why.
pub(super) fn of_request(code: Code, address: &str, reason: Option<String>) -> Error {
    match code {
        Code::BrokerTransportFailure
        | Code::OperationTimedOut
        | Code::AllBrokersDown
        | Code::Resolve => Error::Unreachable {
            address: address.to_owned(),
            cause: reason.unwrap_or_else(|| words(code)),
        },
        Code::RequestTimedOut => Error::Retriable(words(code)),
        code if is_coming(code) => Error::Retriable(words(code)),
        _ => Error::Refused(words(code)),
    }
}

/// An error of making a client, or of asking it for something it cannot even try.
pub(super) fn of_client(error: &KafkaError) -> Error {
    Error::Refused(match error {
        KafkaError::ClientConfig(_, words, name, value) => {
            format!("librdkafka refuses {name} = {value:?}: {}", words.trim_end())
        }
        KafkaError::ClientCreation(words) => format!("the Kafka client cannot be made: {words}"),
        other => other.to_string(),
    })
}
