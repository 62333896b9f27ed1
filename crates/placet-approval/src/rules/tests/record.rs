//! What is entered in the record: each thing that counted, once, in its order.

use super::play::*;
use super::*;

/// Of each entry what it tells, in short.
fn told(play: &Play) -> Vec<String> {
    let in_short = |entry: &Entry| {
        let place = format!("{}.{}", entry.revision, entry.stage);
        match &entry.what {
            Entered::Requested { requester, .. } => format!("{place} {requester} asks"),
            Entered::Said { by, said, .. } => {
                let by = by.as_ref().map_or("somebody", |person| person.as_str());
                format!("{place} {by} {}", said.get("act").map_or("decides", |act| act.as_str().unwrap()))
            }
            Entered::Asked { seats, .. } => {
                let from = seats.iter().flat_map(|seat| &seat.from).map(ToString::to_string);
                format!("{place} asked: {}", from.collect::<Vec<_>>().join(" "))
            }
            Entered::Ended { outcome } => format!("{place} {}", outcome.detail()),
            permits => unreachable!("{permits:?} is not of the request"),
        }
    };
    play.entries.iter().map(in_short).collect()
}

#[test]
fn what_counts_is_entered_once_and_what_is_refused_or_said_again_is_not() {
    let stages = json!({"stages": [stage(&["group:sec"], 2), stage(&["group:fin"], 1)]});
    let mut play = Play::of(stages, json!({}));
    for line in [
        "zoe claims",
        "zoe releases",
        "max approves",
        "zoe approves",
        "zoe approves",
        "yan comments hm",
        "yan approves",
        "flo approves",
        "flo approves",
        "zoe rejects",
    ] {
        play.line(line);
    }
    let expected = [
        "1.1 alice asks",
        "1.1 asked: group:sec",
        "1.1 zoe claim",
        "1.1 zoe release",
        "1.1 zoe decides",
        "1.1 yan comment",
        "1.1 yan decides",
        "1.2 asked: group:fin",
        "1.2 flo decides",
        "1.2 approved",
    ];
    assert_eq!(told(&play), expected);
}

#[test]
fn what_time_brings_is_entered_without_a_name() {
    let mut play = Play::of(json!({"stages": [stage(&["group:sec"], 1)]}), json!({}));
    play.line("+200h");
    assert_eq!(told(&play), ["1.1 alice asks", "1.1 asked: group:sec", "1.1 expired"]);
}
