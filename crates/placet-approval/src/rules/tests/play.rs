//! Scripts: what people of a company do with a request, line by line, and what they are told.

use std::fmt::Write as _;

use super::*;
use crate::directory::Directory;
use crate::identity::Right;

/// A request of Alice's with a plan, in a company of these groups: what people do with it, line by line.
pub(super) struct Play {
    /// Absent only while something happens to it.
    pub(super) request: Option<Request>,
    pub(super) directory: Directory,
    now: i64,
    /// What was entered in the record.
    pub(super) entries: Vec<Entry>,
}

impl Play {
    /// A plan of one stage.
    pub(super) fn new(stage: Value) -> Play {
        Play::of(json!({"stages": [stage]}), json!({}))
    }

    pub(super) fn of(plan: Value, more: Value) -> Play {
        let mut asked = json!({"requester": "alice", "item": "Deploy", "timeout_hours": 100, "plan": plan});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let groups = json!({"groups": {
            "sec": ["zoe", "yan", "xia"], "fin": ["zoe", "flo"], "two": ["zoe", "flo"], "leads": ["lea"], "alices": ["alice"],
            "none": [],
        }});
        let directory = serde_json::from_value(groups).unwrap();
        let mut play = Play { request: Some(opened(asked)), directory, now: ACCEPTED, entries: Vec::new() };
        play.feed(&Event::Began);
        play
    }

    /// What is told to whoever asked.
    pub(super) fn feed(&mut self, event: &Event) -> Option<Reply> {
        let (request, effects) = apply(self.request.take().unwrap(), event);
        self.request = Some(request);
        let mut told = None;
        for effect in effects {
            match effect {
                Effect::Show => {}
                Effect::Enter(entry) => self.entries.push(*entry),
                Effect::Reply { reply, .. } => told = Some(*reply),
                Effect::LookUp(question) => drop(self.feed(&Event::Found(self.directory.resolve(&question)))),
            }
        }
        told
    }

    /// `WHO VERB REST`, or `+HOURSh`; what became of it.
    pub(super) fn line(&mut self, line: &str) -> String {
        if let Some(hours) = line.strip_prefix('+') {
            self.now += hours.trim_end_matches('h').parse::<i64>().unwrap() * 3_600;
            self.pass_time();
            return self.status();
        }
        let mut words = line.splitn(3, ' ');
        let (who, verb, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
        let mut caller = Caller::person(who);
        caller.groups = self.directory.groups_of(caller.person.as_ref().unwrap());
        if who == "boss" {
            caller.rights = vec![Right::Override, Right::Assign, Right::Withdraw];
        }
        self.now += 1;
        self.pass_time();
        let more = if rest.starts_with('{') { serde_json::from_str(rest).unwrap() } else { json!({}) };
        let event = |payload: Value| said(self.now, who, caller.clone(), &payload);
        let decide = |is_approved: bool| {
            let mut decision = json!({"is_approved": is_approved, "approver": who});
            decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Event::Said(event(decision))
        };
        let event = match verb {
            "approves" => decide(true),
            "rejects" => decide(false),
            "abstains" => Event::Said(event(json!({"is_approved": false, "approver": who, "choice": "abstain"}))),
            "claims" | "releases" => Event::Said(event(json!({"act": verb.trim_end_matches('s')}))),
            "assigns" | "delegates" | "forwards" => {
                Event::Said(event(json!({"act": verb.trim_end_matches('s'), "to": rest})))
            }
            "revises" => {
                let mut act = json!({"act": "revise"});
                act.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                Event::Said(event(act))
            }
            "ends" => Event::ParentEnded { at: at(self.now), parent: who.to_owned() },
            "answers" => Event::Said(event(json!({"act": "answer", "question": 1, "text": rest}))),
            _ => Event::Said(event(json!({"act": verb.trim_end_matches('s'), "text": rest}))),
        };
        self.feed(&event).as_ref().map(verdict).unwrap_or_default()
    }

    fn pass_time(&mut self) {
        while let Some(next) = self.request().wakes_at().filter(|next| *next <= at(self.now)) {
            self.feed(&Event::TimeReached(next));
        }
    }

    pub(super) fn request(&self) -> &Request {
        self.request.as_ref().unwrap()
    }

    pub(super) fn status(&self) -> String {
        let request = self.request();
        let mut status = request.outcome.as_ref().map_or("open", Outcome::detail).to_owned();
        if let Some(open) = request.open.as_ref().filter(|open| request.outcome.is_none() && open.level > Level::Named)
        {
            write!(status, ", asks {:?}", open.level).unwrap();
        }
        status
    }
}

/// Plays lines of `what happens -> what is told`.
#[track_caller]
pub(super) fn play(mut play: Play, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, expected) = line.split_once(" -> ").unwrap_or_else(|| panic!("{line:?} has no arrow"));
        assert_eq!(play.line(what.trim()), expected.trim(), "after {what:?}");
    }
}

pub(super) fn stage(from: &[&str], need: impl Into<Value>) -> Value {
    json!({"seats": [{"from": from, "need": need.into()}]})
}

pub(super) fn stage_seat(from: &str, need: &Value) -> Value {
    json!({"from": [from], "need": need})
}
