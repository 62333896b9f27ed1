"""Where the scheduler is and who we are: the settings that the worker and the client share.

TASKHUB            the task hub (default: default)
ENDPOINT           the scheduler (default: http://localhost:8080)
PLACET_CREDENTIAL  `none` or `azure`; by default `azure` for https endpoints and `none` for all others
"""

import os

TASKHUB = os.environ.get("TASKHUB", "default")
ENDPOINT = os.environ.get("ENDPOINT", "http://localhost:8080")


def connection() -> dict:
    """The arguments that `DurableTaskSchedulerWorker` and `DurableTaskSchedulerClient` have in common."""
    return {
        "host_address": ENDPOINT,
        "taskhub": TASKHUB,
        "secure_channel": _is_encrypted(),
        "token_credential": _credential(),
    }


def _is_encrypted() -> bool:
    return ENDPOINT.lower().startswith(("https://", "grpcs://"))


def _credential():
    choice = os.environ.get("PLACET_CREDENTIAL", "azure" if _is_encrypted() else "none")
    if choice == "none":
        return None
    if choice == "azure":
        # Imported here, since a scheduler on this computer needs neither the package nor the second it takes to load.
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()
    raise SystemExit(f"PLACET_CREDENTIAL is `{choice}`; it can be `none` or `azure`")
