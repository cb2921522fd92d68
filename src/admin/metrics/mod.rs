//! `/metrics`: what [`look`](super::look) has seen, in the words of Prometheus.
//!
//! The text is OpenMetrics 1.0, which Prometheus asks for first and its successors read. All numbers are those
//! of `/status`, so the two agree. [`node`] is about the node and its edge, [`functions`] about what they do.

mod functions;
mod node;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeCounterValue;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::status::Status;
use super::status::Times;
use crate::telemetry::BOUNDS;

/// What to send it as.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `status` as text.
///
/// # Errors
/// Never: it is written to memory.
pub(super) fn render(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(status)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Page(Status);

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.of_node(&self.0)?;
        out.of_edge(&self.0)?;
        out.of_requests(&self.0)?;
        out.of_functions(&self.0)
    }
}

type Label<'a> = (&'static str, &'a str);

struct Out<'e>(DescriptorEncoder<'e>);

impl Out<'_> {
    fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = ([Label<'a>; N], f64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = ([Label<'a>; N], u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (&'a str, &'a Times)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (function, times) in rows {
            let counts = times.counts.iter().copied();
            let buckets: Vec<_> = BOUNDS.into_iter().zip(counts).collect();
            let count = times.counts.iter().sum();
            metric
                .encode_family(&[("function", function)])?
                .encode_histogram::<NoLabelSet>(times.seconds, count, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::CertificateStatus;
    use super::super::status::FunctionStatus;
    use super::super::status::Isolates;
    use super::super::status::Totals;
    use super::*;

    fn function(name: &str, totals: Option<Totals>) -> FunctionStatus {
        FunctionStatus {
            name: name.to_owned(),
            state: "ready".to_owned(),
            totals,
            isolates: Isolates {
                idle: 1,
                ..Isolates::default()
            },
            memory_bytes: 10,
            ..FunctionStatus::default()
        }
    }

    #[test]
    fn functions_without_a_name_are_told_of_together() {
        let status = Status {
            functions: vec![
                function("named", Some(Totals::default())),
                function("one", None),
                function("two", None),
            ],
            ..Status::default()
        };
        let text = render(status).expect("text");
        for line in [
            "holm_isolates{function=\"named\",state=\"idle\"} 1.0",
            "holm_isolates{function=\"_other\",state=\"idle\"} 2.0",
            "holm_function_memory_bytes{function=\"_other\"} 20.0",
            "holm_functions{state=\"ready\"} 3.0",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "no {line} in {text}"
            );
        }
        assert!(!text.contains("\"one\""), "{text}");
    }

    #[test]
    fn buckets_add_up() {
        let mut totals = Totals {
            requests: 3,
            ..Totals::default()
        };
        totals.wall.counts = vec![0; BOUNDS.len()];
        totals.wall.counts[0] = 1;
        totals.wall.counts[BOUNDS.len() - 1] = 2;
        totals.cpu.counts = totals.wall.counts.clone();
        totals.queued.counts = totals.wall.counts.clone();
        let status = Status {
            functions: vec![function("a", Some(totals))],
            ..Status::default()
        };
        let text = render(status).expect("text");
        let bucket = |le: &str| {
            let name = "holm_request_duration_seconds_bucket";
            text.lines()
                .find(|line| line.starts_with(name) && line.contains(&format!("le=\"{le}\"")))
                .and_then(|line| line.rsplit(' ').next())
        };
        assert_eq!(bucket("0.0001"), Some("1"));
        assert_eq!(bucket("30.0"), Some("1"));
        assert_eq!(bucket("+Inf"), Some("3"));
    }

    #[test]
    fn a_label_cannot_be_left() {
        let mut status = Status::default();
        status.certificates.push(CertificateStatus {
            name: "a\"} 1\n".to_owned(),
            ..CertificateStatus::default()
        });
        let text = render(status).expect("text");
        assert!(text.contains(r#"name="a\"} 1\n""#), "{text}");
    }
}
