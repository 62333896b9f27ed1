//! The two times that the machines are told. Neither is ever read here.

use std::fmt;
use std::time::Duration;

/// Wall-clock time in microseconds since 1970-01-01T00:00:00Z: what users see. May be virtual, may jump.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The end of time, for "never".
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// This long after it; at the end of time at most.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros(duration)))
    }

    /// The first whole millisecond after it.
    #[must_use]
    pub fn next_millisecond(self) -> Timestamp {
        Timestamp(self.0.div_euclid(1_000).saturating_add(1).saturating_mul(1_000))
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As the protocol writes it.
    pub fn to_proto(self) -> prost_types::Timestamp {
        let nanos = i32::try_from(self.0.rem_euclid(1_000_000) * 1_000).expect("under a second");
        prost_types::Timestamp { seconds: self.0.div_euclid(1_000_000), nanos }
    }

    /// From the protocol's, rounded up to the microsecond so that nothing becomes due early; times beyond
    /// what fits (the year 294,247) are the end of time.
    pub fn from_proto(proto: &prost_types::Timestamp) -> Timestamp {
        let micros = i64::from(proto.nanos).div_euclid(1_000) + i64::from(proto.nanos.rem_euclid(1_000) > 0);
        Timestamp(proto.seconds.saturating_mul(1_000_000).saturating_add(micros))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000))
    }
}

/// Monotonic time in microseconds since some start: leases, pings, redelivery, waits. Never virtual.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// This long after it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Both times, as of one input to the machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// What users see.
    pub wall: Timestamp,
    /// What leases run by.
    pub mono: Mono,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
