//! The trace that a program's work belongs to, as W3C's Trace Context has it: it goes from who starts an orchestration to its
//! activities and children, in whichever language they are, so that their spans join up.

use placet_proto::durabletask;

/// Where in a trace something was asked for (<https://www.w3.org/TR/trace-context/>). Give it to your tracing library as the
/// parent of what you begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The header `traceparent`: `00-<trace id>-<span id>-<flags>`, in hexadecimal digits.
    pub parent: String,
    /// The header `tracestate`.
    pub state: Option<String>,
}

impl TraceContext {
    /// That of a header `traceparent`.
    pub fn new(parent: impl Into<String>) -> TraceContext {
        TraceContext { parent: parent.into(), state: None }
    }
}

impl From<TraceContext> for durabletask::TraceContext {
    fn from(trace: TraceContext) -> Self {
        // Other SDKs read the span's id from a field of its own, which the protocol calls deprecated.
        let span_id = trace.parent.split('-').nth(2).unwrap_or_default().to_owned();
        durabletask::TraceContext { trace_parent: trace.parent, span_id, trace_state: trace.state }
    }
}

impl From<durabletask::TraceContext> for TraceContext {
    fn from(trace: durabletask::TraceContext) -> Self {
        TraceContext { parent: trace.trace_parent, state: trace.trace_state }
    }
}
