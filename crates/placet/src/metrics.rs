//! `/metrics`: what the roles in this process tell of themselves, and what the system tells of the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use placet_api::Exposition;
use placet_scheduler::Scheduler;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::os;

/// Begins all names but the system's.
const PREFIX: &str = "placet";

/// Writes down all metrics of this process, each time it is asked.
pub(crate) fn exposition(scheduler: Option<Scheduler>, api: Option<&placet_api::Metrics>) -> Exposition {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let ours = registry.sub_registry_with_prefix(PREFIX);
    if let Some(api) = api {
        api.register(ours);
    }
    if let Some(scheduler) = &scheduler {
        scheduler.metrics().register(ours);
        ours.register_collector(Box::new(Threads));
    }
    let registry = Arc::new(registry);
    Arc::new(move || {
        let (registry, scheduler) = (registry.clone(), scheduler.clone());
        Box::pin(async move {
            if let Some(scheduler) = scheduler {
                scheduler.look().await;
            }
            let mut text = String::new();
            encode(&mut text, &registry).expect("a string takes all");
            text
        })
    })
}

/// By the names that every process has in Prometheus. Where the system does not tell, there are none.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        if let Some(bytes) = os::resident_bytes() {
            let help = "Memory that the process has in RAM.";
            let unit = Some(&Unit::Bytes);
            encoder
                .encode_descriptor("process_resident_memory", help, unit, MetricType::Gauge)?
                .encode_gauge(&bytes)?;
        }
        if let Some(time) = os::cpu_time() {
            let help = "CPU time that the process has used.";
            encoder
                .encode_descriptor("process_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?
                .encode_counter::<NoLabelSet, f64, f64>(&time.as_secs_f64(), None)?;
        }
        Ok(())
    }
}

/// What the CPU time of the threads that last as long as the process went into. The rest went into sockets, protocols
/// and the other roles.
#[derive(Debug)]
struct Threads;

impl Collector for Threads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut parts: BTreeMap<&str, Duration> = BTreeMap::new();
        for (thread, time) in os::thread_times() {
            if let Some(part) = part(&thread) {
                *parts.entry(part).or_default() += time;
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let help = "CPU time of the core thread, the committer, and the rest of the store.";
        let mut seconds = encoder.encode_descriptor("cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
        parts.iter().try_for_each(|(part, time)| {
            let labels = [("part", *part)];
            let mut of_part = seconds.encode_family(&labels)?;
            of_part.encode_counter::<NoLabelSet, f64, f64>(&time.as_secs_f64(), None)
        })
    }
}

fn part(thread: &str) -> Option<&'static str> {
    match thread {
        "placet-core" => Some("core"),
        "placet-commit" => Some("commit"),
        "placet-read" => Some("store"),
        // The kernel keeps fifteen characters of a name.
        _ if thread.starts_with("placet-checkpoi") => Some("store"),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_process_tells_of_its_memory_and_its_time() {
        let text = exposition(None, None)().await;
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 0.0, "{line}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
