//! What failed: as the server tells of it, and as deep as it may be told.

use placet_proto::durabletask::TaskFailureDetails;
use prost_types::value::Kind;

/// A failure's causes, and what its properties hold, are kept so deep. Clients read messages nested up to 100 deep; a failure
/// stands in an event, that in a work item or a page of history.
const DEPTH_MAX: usize = 64;

/// A failure that no retry would mend.
pub(super) fn failure(error_type: &str, message: &str) -> TaskFailureDetails {
    TaskFailureDetails { is_non_retriable: true, ..passing_failure(error_type, message) }
}

/// A failure that may have gone the next time.
pub(super) fn passing_failure(error_type: &str, message: &str) -> TaskFailureDetails {
    TaskFailureDetails {
        error_type: error_type.to_owned(),
        error_message: message.to_owned(),
        ..TaskFailureDetails::default()
    }
}

/// The failure, without what is too deep in it for others to read.
pub(super) fn readable(mut failure: TaskFailureDetails) -> TaskFailureDetails {
    let mut outer = &mut failure;
    for depth in 1..DEPTH_MAX {
        outer.properties.retain(|_, value| depth + depth_of(value) <= DEPTH_MAX);
        match &mut outer.inner_failure {
            Some(inner) => outer = inner,
            None => return failure,
        }
    }
    outer.inner_failure = None;
    outer.properties.clear();
    failure
}

/// How many messages are one in another. A message that came in is at most 100 deep.
fn depth_of(value: &prost_types::Value) -> usize {
    let inner = match &value.kind {
        Some(Kind::ListValue(list)) => list.values.iter().map(depth_of).max(),
        // A map's entries are messages, too.
        Some(Kind::StructValue(object)) => object.fields.values().map(depth_of).max().map(|depth| depth + 1),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::StringValue(_) | Kind::BoolValue(_)) | None => None,
    };
    // The value, and the list or object within it.
    inner.map_or(2, |inner| inner + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> TaskFailureDetails {
        (1..levels).fold(failure("Error", "the innermost"), |inner, level| TaskFailureDetails {
            inner_failure: Some(Box::new(inner)),
            ..failure("Error", &format!("around {level}"))
        })
    }

    fn lists(levels: usize) -> prost_types::Value {
        (0..levels).fold(prost_types::Value { kind: Some(Kind::BoolValue(true)) }, |inner, _| prost_types::Value {
            kind: Some(Kind::ListValue(prost_types::ListValue { values: vec![inner] })),
        })
    }

    #[test]
    fn what_is_too_deep_for_others_to_read_is_left_out_and_the_rest_stays() {
        assert_eq!(readable(nested(DEPTH_MAX)), nested(DEPTH_MAX));
        let mut cut = readable(nested(99));
        assert_eq!(cut.error_message, "around 98");
        let mut levels = 1;
        while let Some(inner) = cut.inner_failure {
            cut = *inner;
            levels += 1;
        }
        assert_eq!(levels, DEPTH_MAX);

        let with = |levels| {
            let properties = [("deep".to_owned(), lists(levels)), ("flat".to_owned(), lists(0))].into();
            TaskFailureDetails { properties, ..failure("Error", "with properties") }
        };
        assert_eq!(readable(with(20)), with(20));
        let kept = readable(with(45));
        assert_eq!(kept.properties.keys().collect::<Vec<_>>(), ["flat"]);
    }
}
