//! Calls over gRPC: how many of each method ended how, and how long it took to answer them. A stream counts as
//! answered when it is open.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use placet_proto::DESCRIPTOR_SET;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use super::histogram::{Histogram, TIMES};
use super::{counter, of};

/// gRPC's codes are 0 to 16.
const CODES: usize = 17;

/// What of it is counted, by method. Every method of the protocol is known from the start, so that nobody can make
/// the server remember names.
#[derive(Debug)]
pub(crate) struct Calls {
    by_path: HashMap<String, usize>,
    methods: Vec<Method>,
}

#[derive(Debug)]
struct Method {
    /// `TaskHubSidecarService/StartInstance`; the last one is for all others.
    name: String,
    seconds: Histogram,
    ended: [AtomicU64; CODES],
}

impl Method {
    fn new(name: String) -> Method {
        Method { name, seconds: Histogram::new(TIMES), ended: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Default for Calls {
    fn default() -> Calls {
        let files = FileDescriptorSet::decode(DESCRIPTOR_SET).expect("the committed descriptors can be read");
        let mut methods = Vec::new();
        for file in &files.file {
            let package = file.package();
            for service in &file.service {
                let dot = if package.is_empty() { "" } else { "." };
                let service_name = format!("{package}{dot}{}", service.name());
                methods.extend(service.method.iter().map(|method| format!("{service_name}/{}", method.name())));
            }
        }
        let by_path = methods.iter().enumerate().map(|(at, name)| (format!("/{name}"), at)).collect();
        methods.push("other".to_owned());
        Calls { by_path, methods: methods.into_iter().map(Method::new).collect() }
    }
}

impl Calls {
    /// A call of the method at this path begins.
    pub(crate) fn begin(self: Arc<Self>, path: &str) -> OpenCall {
        let method = self.by_path.get(path).copied().unwrap_or(self.methods.len() - 1);
        OpenCall { calls: self, method, begun: Instant::now(), ended: None }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let called = || self.methods.iter().filter(|method| !method.seconds.is_empty());
        {
            let mut ended = encoder.encode_descriptor(
                "grpc_calls",
                "Calls over gRPC that were answered, by method and status.",
                None,
                MetricType::Counter,
            )?;
            for method in called() {
                for (code, count) in method.ended.iter().enumerate() {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        let labels = [("method", method.name.as_str()), ("status", NAMES[code])];
                        counter(&mut ended.encode_family(&labels)?, count)?;
                    }
                }
            }
        }
        let help = "How long the answer took; of a stream: until it was open.";
        let mut seconds = encoder.encode_descriptor("grpc_call", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        called().try_for_each(|method| method.seconds.encode(&mut seconds.encode_family(&of("method", &method.name))?))
    }
}

/// A call under way. If it goes without an answer, its caller has gone.
#[derive(Debug)]
pub(crate) struct OpenCall {
    calls: Arc<Calls>,
    method: usize,
    begun: Instant,
    ended: Option<Code>,
}

impl OpenCall {
    /// It was answered so.
    pub(crate) fn ended(&mut self, code: Code) {
        self.ended = Some(code);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let method = &self.calls.methods[self.method];
        let code = self.ended.unwrap_or(Code::Cancelled);
        method.ended[code as usize].fetch_add(1, Ordering::Relaxed);
        method.seconds.add(super::micros(self.begun.elapsed()));
    }
}

/// The codes by their names in the specification.
const NAMES: [&str; CODES] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_known_by_its_path_and_every_other_path_is_one() {
        let calls = Arc::new(Calls::default());
        for path in ["/TaskHubSidecarService/StartInstance", "/placet.v1.Client/Ask", "/placet.v1.Worker/Work"] {
            let call = calls.clone().begin(path);
            assert_eq!(format!("/{}", calls.methods[call.method].name), path);
        }
        assert_eq!(calls.methods[calls.clone().begin("/x/y").method].name, "other");
    }

    #[test]
    fn a_call_counts_under_its_code_and_one_whose_caller_has_gone_as_cancelled() {
        let calls = Arc::new(Calls::default());
        let method = {
            let mut call = calls.clone().begin("/TaskHubSidecarService/GetInstance");
            call.ended(Code::NotFound);
            call.method
        };
        drop(calls.clone().begin("/TaskHubSidecarService/GetInstance"));
        let ended = &calls.methods[method].ended;
        let count = |code: Code| ended[code as usize].load(Ordering::Relaxed);
        assert_eq!((count(Code::NotFound), count(Code::Cancelled), count(Code::Ok)), (1, 1, 0));
        assert_eq!(
            (NAMES[Code::NotFound as usize], NAMES[Code::Unauthenticated as usize]),
            ("NOT_FOUND", "UNAUTHENTICATED")
        );
    }
}
