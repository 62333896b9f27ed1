"""What `/metrics` says, read by Prometheus' own parser of the format."""

import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from approvals_http import ApprovalsApi


def read(http_url: str) -> dict[str, list]:
    answer = requests.get(f"{http_url}/metrics", timeout=10)
    assert answer.status_code == 200
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def test_the_parser_accepts_all_of_it(http_url: str):
    requests.get(f"{http_url}/readyz", timeout=10)
    families = read(http_url)
    assert {"placet_commit_seconds", "placet_ready_items", "placet_http_calls", "process_cpu_seconds"} <= families.keys()
    for family in families.values():
        for sample in family:
            assert sample.value >= 0, sample


def test_a_histograms_buckets_add_up(http_url: str):
    ApprovalsApi(http_url).ask("Vacation Request")
    samples = read(http_url)["placet_commit_seconds"]
    buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
    (count,) = [sample.value for sample in samples if sample.name.endswith("_count")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == count > 0
