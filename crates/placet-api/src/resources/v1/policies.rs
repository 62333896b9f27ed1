//! `/api/v1/policies`: what a request would need, before anybody asks for it.

use axum::Json;
use axum::extract::State;
use placet_approval::{Needs, NewRequest};

use super::requests::{in_time, requester};
use crate::Shared;
use crate::body::Body;
use crate::openapi::{About, Answer, Content};
use crate::problem::{self, Problem};
use crate::resources::time::timestamp;

pub(crate) const CHECK: About = About {
    id: "checkPolicies",
    summary: "What a request would need",
    details: "Of whom, and until when, if it were asked for now. Nothing is begun.",
    answers: &[Answer::new(200, "What it would need", &[Content::json::<Needs>()])],
    example: Some(
        r#"{"requester": "alice", "item": "Hotel, Lisbon", "category": "expense", "payload": {"amount": 1200}}"#,
    ),
    ..About::NOTHING
};

/// `POST /api/v1/policies/check`: nothing is begun, and what creation would refuse is refused in the same words.
pub(crate) async fn check(
    State(api): State<Shared>,
    Body(mut asked): Body<NewRequest>,
) -> Result<Json<Needs>, Problem> {
    asked.check()?;
    asked.requester = requester(&api, &asked);
    let now = api.client.time().await.map_err(|error| problem::of_call("none", &error))?.now;
    let now = timestamp(now);
    in_time(&asked, now)?;
    Ok(Json((api.configuration)().needs(&asked, now)?))
}
