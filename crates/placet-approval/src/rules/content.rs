//! What is asked for changes: whoever requested it revises it, or an approver edits what he may. Proposed and approved
//! content are kept apart, and who has seen only the old one is asked again (APPROVALS.md §3, "Revisions").

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Case, Refused, forbidden, invalid};
use crate::act::Revision;
use crate::hex;
use crate::identity::Person;
use crate::plan::Reset;
use crate::projection::ContentRow;
use crate::request::{Edited, NewRequest, PAYLOAD_BYTES_MAX, Request, check_size, lies_under};

impl Case<'_> {
    /// Whoever requested it changes it.
    pub(super) fn revise(&mut self, by: &Person, revision: Revision) -> Result<(), Refused> {
        if *by != self.request.requester() {
            return Err(forbidden("only whoever requested it may change it; an approver edits or returns it"));
        }
        let mut asked = self.request.asked.clone();
        asked.item = revision.item.unwrap_or(asked.item);
        asked.details = revision.details.unwrap_or(asked.details);
        asked.payload = revision.payload.or(asked.payload);
        asked.check().map_err(|error| invalid(error.to_string()))?;
        self.request.leaves_as_it_is(&asked)?;
        if let Some(template) = &self.request.plan.details {
            template.check(&asked).map_err(|why| invalid(format!("payload: {why}")))?;
        }
        self.request.asked = asked;
        self.request.edited = None;
        if let Some(returned) = self.request.returned.take() {
            self.go_on_after(returned.at);
        }
        self.new_revision();
        Ok(())
    }

    /// An approver has changed the payload. Says whether the votes begin anew at the first stage, his own included.
    pub(super) fn change_payload(&mut self, by: &Person, payload: Value) -> bool {
        let proposed = self.request.asked.payload.replace(payload).unwrap_or(Value::Null);
        let proposed = self.request.edited.take().map_or(proposed, |edited| edited.proposed);
        let stage = self.request.stage;
        self.new_revision();
        self.request.edited = Some(Edited { proposed, by: by.clone(), counted: self.request.counted.len() });
        self.request.stage < stage
    }

    fn new_revision(&mut self) {
        self.request.revision += 1;
        self.request.settled_by = None; // what he says now is of another content
        self.request.hash_content();
        if self.request.plan.reset == Reset::All && self.request.stage > 0 {
            self.request.counted.clear();
            self.open_stage(0);
        } else if let Some(open) = &mut self.request.open {
            open.votes.clear();
            self.end_claim();
        }
        self.show();
    }
}

impl Request {
    /// Gives its content a hash that nobody can guess it by who does not know this secret. It keeps the one that it has.
    pub fn seal(&mut self, secret: &str) {
        if self.salt.is_empty() {
            let salt = Sha256::new().chain_update(b"placet content 1\0").chain_update(&self.request_id);
            let salt = salt.chain_update([0]).chain_update(secret).finalize();
            self.salt = hex(&salt[..16]);
        }
        if self.content_hash.is_empty() {
            self.hash_content();
        }
    }

    fn hash_content(&mut self) {
        self.content_hash = content_hash(&self.salt, &self.asked.item, self.shown_content());
    }

    pub(crate) fn revision_if_changed(&self) -> Option<u32> {
        (self.revision > 1).then_some(self.revision)
    }

    /// Whether a revision changes nothing from which it follows who is asked.
    fn leaves_as_it_is(&self, revised: &NewRequest) -> Result<(), Refused> {
        for pointer in &self.plan.conditions_read {
            if self.asked.at(pointer) != revised.at(pointer) {
                let (what, policy) = (pointer.trim_start_matches('/'), self.plan.policy.as_ref());
                let policy = policy.map_or("", |version| &version.name);
                return Err(invalid(format!(
                    "{}: {what:?} decides who is asked (policy {policy}): withdraw the request, and ask anew",
                    if what.starts_with("payload") { "payload" } else { "item" }
                )));
            }
        }
        Ok(())
    }

    pub(super) fn approved_if_changed(&self) -> Option<Value> {
        self.edited.as_ref().and(self.asked.payload.clone())
    }

    /// The payload with an approver's edits (RFC 6902), which touch nothing but what he may change, if that changes anything.
    pub(super) fn edited(&self, edits: &Value) -> Result<Option<Value>, Refused> {
        let patch: json_patch::Patch =
            serde_json::from_value(edits.clone()).map_err(|error| invalid(format!("edits: {error}")))?;
        for operation in patch.iter() {
            let path = operation.path().as_str();
            let is_plain =
                !matches!(operation, json_patch::PatchOperation::Move(_) | json_patch::PatchOperation::Copy(_));
            if !is_plain {
                return Err(invalid("edits: add, remove, replace and test are taken"));
            }
            let may = self.plan.editable.iter().any(|pointer| lies_under(path, pointer));
            if !may && !matches!(operation, json_patch::PatchOperation::Test(_)) {
                let editable = &self.plan.editable;
                return Err(forbidden(format!("edits: {path:?} may not be changed; {editable:?} may")));
            }
        }
        let mut payload = self.asked.payload.clone().unwrap_or(Value::Null);
        json_patch::patch(&mut payload, &patch).map_err(|error| invalid(format!("edits: {error}")))?;
        check_size("payload", &payload, PAYLOAD_BYTES_MAX).map_err(|error| invalid(error.to_string()))?;
        Ok((payload != *self.asked.payload.as_ref().unwrap_or(&Value::Null)).then_some(payload))
    }
}

/// SHA-256 of the salt's digits, and of what is decided about as JSON in its canonical form (RFC 8785), which takes numbers
/// for doubles: integers that are none of those stand there as texts.
pub(crate) fn content_hash(salt: &str, item: &str, content: ContentRow) -> String {
    let content = ContentRow { proposed: None, editable: Vec::new(), of: String::new(), ..content };
    if content == ContentRow::default() && !item.starts_with('\0') {
        // Most are about nothing but their item: one field is canonical as it is.
        let item = serde_json::to_string(item).expect("a text is JSON");
        return hashed(salt, format!(r#"{{"item":{item}}}"#).as_bytes());
    }
    let mut value = serde_json::to_value(content).expect("its keys are texts");
    value["item"] = Value::String(item.to_owned());
    salted(salt, value)
}

/// SHA-256 of a salt's digits and of JSON in its canonical form.
pub(crate) fn salted(salt: &str, mut value: Value) -> String {
    exactly(&mut value);
    hashed(salt, &serde_json_canonicalizer::to_vec(&value).expect("its keys are texts"))
}

fn hashed(salt: &str, canonical: &[u8]) -> String {
    hex(&Sha256::new().chain_update(salt).chain_update(canonical).finalize())
}

/// Integers beyond 2⁵³ as texts of their digits behind a zero character; a text that begins with one has one more.
fn exactly(value: &mut Value) {
    const DOUBLES_MAX: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let is_beyond = number.as_u64().is_some_and(|number| number > DOUBLES_MAX)
                || number.as_i64().is_some_and(|number| number.unsigned_abs() > DOUBLES_MAX);
            if is_beyond {
                *value = Value::String(format!("\0{number}"));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(exactly),
        Value::Object(all) => all.values_mut().for_each(exactly),
        Value::String(text) if text.starts_with('\0') => text.insert(0, '\0'),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
