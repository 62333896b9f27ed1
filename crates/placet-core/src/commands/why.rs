//! Why (placet.v1): nothing is decided here. What is to be said depends on more than the instance, so the shard says it.

use crate::ids::{CallId, Iid};
use crate::outcome::{Outcome, Question};
use crate::partition::Partition;
use crate::why::Explanation;

impl Partition {
    /// Why an instance waits is asked. `parent`: of its parent, which waits for it.
    pub(crate) fn why(
        &mut self,
        iid: Iid,
        parent: Option<Box<Explanation>>,
        call: Option<CallId>,
        outcome: &mut Outcome,
    ) {
        outcome.questions.extend(call.map(|call| Question { call, iid, parent }));
    }
}
