//! How it is with an item, for people who ask why an instance waits ([`crate::why`]): who has it, or why nobody has.
//!
//! Which items are queued is not looked for, as queues are long: what nobody holds and nothing delays either waits for a
//! worker, or is about to be queued.

use std::collections::BTreeSet;

use super::stream::Stream;
use super::{Dispatch, Holder, ItemId, ItemSpec};
use crate::limits;
use crate::time::Mono;

/// Where a turn or an activity is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// A worker has it.
    Running {
        /// What the worker calls itself, or the number of its stream.
        worker: String,
        /// How often it was given to one.
        deliveries: u32,
    },
    /// Its worker's stream is gone; until then that worker may still finish it.
    Lost {
        /// What the worker called itself.
        worker: String,
    },
    /// It comes again then: so many deliveries failed, and so often it was given back.
    Delayed {
        /// Deliveries whose stream broke or whose lease ran out.
        failed: u32,
        /// Deliveries that were given back.
        given_back: u32,
    },
    /// It was set aside after too many failed deliveries.
    SetAside,
    /// It is ready, and no worker serves its hub.
    NoWorker,
    /// … so many do, and none takes its name.
    NoName {
        /// How many serve its hub.
        workers: usize,
    },
    /// … or none its version.
    NoVersion {
        /// How many take its name.
        workers: usize,
        /// At which versions; "" stands for none.
        versions: Vec<String>,
    },
    /// … or those that take it have as much as they take.
    NoRoom {
        /// How many.
        workers: usize,
    },
    /// … or the server gives out nothing, or nothing so long, until what it gave out was read, or what came back is written.
    HeldUp,
    /// It is on its way to a worker.
    OnItsWay,
    /// A turn waits until some of its instance's activities are done.
    TooMuchOpen {
        /// How many are open.
        activities: usize,
    },
}

/// A [`Stage`], and since and until when it lasts, as far as the dispatch knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) stage: Stage,
    pub(crate) since: Option<Mono>,
    pub(crate) until: Option<Mono>,
}

impl Dispatch {
    /// How it is with an item that is to be done.
    pub(crate) fn look(&self, now: Mono, spec: &ItemSpec) -> Look {
        let (failed, returned) = self.redelivery.returned(spec.id);
        if let Some(held) = self.held.get(&spec.id) {
            let since = Some(held.since);
            return match held.by {
                Holder::Stream(stream) => {
                    let stage = Stage::Running { worker: self.worker_name(stream), deliveries: returned + 1 };
                    Look { stage, since, until: self.redelivery.lease_of(spec.id) }
                }
                Holder::Grace(until) => {
                    let worker = held.lost_by.as_deref().unwrap_or_default().to_owned();
                    Look { stage: Stage::Lost { worker }, since, until: Some(until) }
                }
            };
        }
        match self.redelivery.not_before(spec.id) {
            Some(until) if until > now => {
                let stage = Stage::Delayed { failed, given_back: returned - failed };
                Look { stage, since: None, until: Some(until) }
            }
            since => Look { stage: self.look_for_takers(spec), since, until: None },
        }
    }

    /// Whether something is known of this very item: others that are like it may be otherwise.
    pub(crate) fn is_known(&self, item: ItemId) -> bool {
        self.held.contains_key(&item) || self.redelivery.was_delivered(item)
    }

    /// Why nobody has an item that is ready.
    fn look_for_takers(&self, spec: &ItemSpec) -> Stage {
        let (mut serving, mut named, mut takers) = (0, 0, 0);
        let (mut versions, mut has_place, mut has_room) = (BTreeSet::new(), false, false);
        let (bounds, kind) = (self.bounds(), spec.id.kind());
        for (id, stream) in &self.streams {
            if !stream.accepts.serves(spec) {
                continue;
            }
            serving += 1;
            let Some(taken) = stream.accepts.versions(spec) else { continue };
            named += 1;
            if !stream.accepts.item(spec) {
                versions.extend(taken.into_iter().flatten().take(limits::WHY_NAMED_MAX).cloned());
                continue;
            }
            takers += 1;
            has_place |= stream.has_place(kind);
            has_room |= stream.room(kind, &bounds) && bounds.has_room_for(spec, *id);
        }
        match (serving, named, takers) {
            (0, ..) => Stage::NoWorker,
            (workers, 0, _) => Stage::NoName { workers },
            (_, workers, 0) => {
                Stage::NoVersion { workers, versions: versions.into_iter().take(limits::WHY_NAMED_MAX).collect() }
            }
            _ if has_room => Stage::OnItsWay,
            _ if has_place => Stage::HeldUp,
            (.., workers) => Stage::NoRoom { workers },
        }
    }

    fn worker_name(&self, id: crate::ids::StreamId) -> String {
        let named = self.streams.get(&id).and_then(Stream::worker_id);
        named.map_or_else(|| format!("of stream {}", id.0), str::to_owned)
    }
}
