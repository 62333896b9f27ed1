"""The server as an App Service identity endpoint, so that programs that insist on a credential run unchanged."""

import time

import pytest
import requests
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from durabletask import task
from durabletask.azuremanaged.client import DurableTaskSchedulerClient

from conftest import Mission
from task_hub import TaskHub

SCOPE = "https://durabletask.io/.default"


@pytest.fixture
def identity(http_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a program on App Service, with our endpoint."""
    variables = {"IDENTITY_ENDPOINT": f"{http_url}/msi/token", "IDENTITY_HEADER": "anything"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return variables


@pytest.mark.parametrize("kind", [ManagedIdentityCredential, DefaultAzureCredential])
def test_a_credential_gets_a_token_that_lasts(identity: dict[str, str], kind):
    token = kind().get_token(SCOPE)
    assert token.token
    # The SDK renews a token ten minutes before its end.
    assert token.expires_on > time.time() + 15 * 60


def test_the_answer_has_the_four_fields_of_app_service(identity: dict[str, str]):
    answer = requests.get(
        identity["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://durabletask.io"},
        headers={"X-IDENTITY-HEADER": "anything"},
        timeout=10,
    )
    assert answer.status_code == 200
    body = answer.json()
    assert {"access_token", "expires_on", "resource", "token_type"} <= body.keys()
    assert (body["resource"], body["token_type"]) == ("https://durabletask.io", "Bearer")


def test_a_client_with_such_a_token_is_served(identity: dict[str, str], hub: TaskHub):
    def echo(ctx: task.OrchestrationContext, value):
        return value

    hub.serve(echo)
    connection = {**hub.connection(), "token_credential": DefaultAzureCredential()}
    with DurableTaskSchedulerClient(**connection) as client:
        instance_id = client.schedule_new_orchestration(echo, input="with a token")
    assert hub.ended(instance_id).get_output() == "with a token"


def test_the_mission_runs_with_the_credential_that_it_had_in_azure(
    identity: dict[str, str], mission: Mission, hub: TaskHub
):
    mission.start(hub.grpc_url, hub.name, PLACET_CREDENTIAL="azure", **identity)
    request_id = mission.api.ask("Vacation Request")
    mission.api.decide(request_id, True)
    assert mission.api.outcome(request_id)["status"] == "Approved"
